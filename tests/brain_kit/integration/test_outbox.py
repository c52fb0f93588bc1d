"""The outbox: the relay to Kafka, crashes on the way, retention, the positions of the local bus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import Event, LocalBus, Relay, emit, open_bus
from brain_kit.events.kafka_bus import KafkaBus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka import KafkaConsumer, KafkaProducer

from tests.brain_kit.eventing import World, counted_on, opened, wait_for
from tests.brain_kit.sample_service import write_package

CRASH_AFTER_PUBLISHING = """
import os, signal, sys
from brain_kit.database import Database
from brain_kit.events import Relay, open_bus

database, bus = Database(sys.argv[1], name="producer"), open_bus(sys.argv[2])
publisher = bus.publisher()
stored = publisher.publish
def publish_and_die(events):
    stored(events)
    os.kill(os.getpid(), signal.SIGKILL)
publisher.publish = publish_and_die
Relay(database, bus).publish_batch(publisher)
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the importable package with the schema."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    write_package(tmp_path / "packages")
    return tmp_path / "packages"


@pytest.fixture
def local(packages: Path, tmp_path: Path) -> Iterator[World]:
    """Two services on SQLite and the local bus."""
    databases = [Database(f"sqlite:///{tmp_path}/{name}.db") for name in ("producer", "consumer")]
    with opened(databases[0], databases[1], LocalBus(), prefix="", relays=False) as world:
        yield world


@pytest.fixture
def cluster(packages: Path, database_urls: str, events_url: str, topic_prefix: str) -> Iterator[World]:
    """Two services on PostgreSQL and Kafka, no relay running."""
    databases = [Database(database_urls.replace("{service}", name), name=name) for name in ("producer", "consumer")]
    with opened(databases[0], databases[1], open_bus(events_url), prefix=topic_prefix, relays=True) as world:
        yield world


def messages(events_url: str, topic: str, number: int) -> list[bytes]:
    """Values of the topic, read by a plain client: `number` of them and what else comes in half a second."""
    servers = events_url.removeprefix("kafka://")
    reader = KafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None)
    with closing(reader):
        found: list[bytes] = []

        def enough() -> bool:
            found.extend(record.value for records in reader.poll(500).values() for record in records)
            return len(found) >= number

        wait_for(enough)
        enough()
        return found


def age(database: Database, days: float) -> None:
    """Make everything emitted and handled so far look that old."""
    moment = utc_now() - timedelta(days=days)
    with database.transaction() as session:
        session.execute(sa.text("UPDATE outbox SET time = :moment"), {"moment": moment})
        session.execute(sa.text("UPDATE inbox SET at = :moment"), {"moment": moment})


def count(database: Database, table: str) -> int:
    """Rows of a table."""
    with database.reading() as session:
        return int(session.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.servers
@pytest.mark.fault
def test_a_relay_killed_between_publishing_and_marking_doubles_no_effect(
    cluster: World, packages: Path, events_url: str
) -> None:
    """The broker then has every event twice, the consumer's database once, in order."""
    cluster.emit(*range(30))
    url = cluster.producer.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    crash = [sys.executable, "-c", CRASH_AFTER_PUBLISHING, url, events_url]
    ended = subprocess.run(crash, env={**os.environ, "PYTHONPATH": str(packages)}, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(messages(events_url, cluster.topic, 30)) == 30
    cluster.start_relay()
    assert len(messages(events_url, cluster.topic, 60)) == 60
    cluster.threads.start(cluster.reader().run)
    cluster.emit(30)
    wait_for(lambda: 30 in cluster.effects())
    assert cluster.effects() == list(range(31))


@pytest.mark.servers
def test_only_one_relay_of_a_database_works(cluster: World, events_url: str) -> None:
    """Two processes with relays do not publish everything twice."""
    cluster.emit(*range(300))
    for _ in range(2):
        cluster.threads.start(Relay(cluster.producer, cluster.bus, batch_size=2).run)
    assert len(messages(events_url, cluster.topic, 300)) == 300


@pytest.mark.servers
def test_a_message_from_elsewhere_does_not_stop_the_group(cluster: World, events_url: str) -> None:
    """What is no CloudEvent is passed over."""
    assert isinstance(cluster.bus, KafkaBus)
    cluster.bus.ensure_topics([cluster.topic])
    with closing(KafkaProducer(bootstrap_servers=events_url.removeprefix("kafka://"))) as producer:
        for garbage in (b"", b"no JSON", b"[]", b'{"specversion": "1.0"}', b'{"specversion": "0.3", "id": "x"}'):
            producer.send(cluster.topic, garbage, key=b"a").get(10)
    cluster.start_relay()
    cluster.threads.start(cluster.reader().run)
    cluster.emit(1)
    wait_for(lambda: cluster.effects() == [1])


@pytest.mark.servers
def test_a_row_of_an_older_open_transaction_is_published_too(cluster: World) -> None:
    """PostgreSQL gives out ids before the commit: an earlier id may appear between reading and marking a later one."""
    publisher = cluster.bus.publisher()
    assert publisher is not None
    broker, relay = publisher, Relay(cluster.producer, cluster.bus)
    early, late = ExitStack(), threading.Thread(target=cluster.emit, args=(2,), kwargs={"series": "late"})
    emit(early.enter_context(cluster.producer.transaction()), counted_on(cluster.topic)(series="early", number=1))
    late.start()
    late.join()
    published: list[str] = []

    class Meanwhile:
        """Publishes, and lets the earlier transaction commit before the rows are marked."""

        def publish(self, events: Sequence[Event]) -> None:
            broker.publish(events)
            published.extend(event.key for event in events)
            early.close()

        def close(self) -> None:
            broker.close()

    with closing(Meanwhile()) as meanwhile:
        while relay.publish_batch(meanwhile):
            pass
    assert published == ["late", "early"]


@pytest.mark.servers
def test_the_local_bus_on_postgresql_skips_no_event(packages: Path, database_urls: str) -> None:
    """There it reads by id: a later emitter waits for an open earlier one, so ids appear in order."""
    databases = [Database(database_urls.replace("{service}", name), name=name) for name in ("producer", "consumer")]
    with opened(databases[0], databases[1], LocalBus(), prefix="", relays=False) as world:
        world.threads.start(world.reader().run)
        late = threading.Thread(target=world.emit, args=(2,))
        with world.producer.transaction() as early:
            emit(early, counted_on(world.topic)(series="a", number=1))
            late.start()
            late.join(0.7)
            assert late.is_alive()
        late.join()
        wait_for(lambda: len(world.effects()) == 2)
        assert world.effects() == [1, 2]


@pytest.mark.servers
def test_published_rows_go_after_their_time_and_unpublished_never(cluster: World) -> None:
    """Retention removes what the broker has, however old the rest is."""
    publisher = cluster.bus.publisher()
    assert publisher is not None
    relay = Relay(cluster.producer, cluster.bus, batch_size=3, retention_days=7)
    with closing(publisher):
        cluster.emit(1, 2, 3, 4, 5)
        assert relay.publish_batch(publisher) == 3
    assert relay.clean() == 0
    age(cluster.producer, 8)
    assert relay.clean() == 3
    assert count(cluster.producer, "outbox") == 2


def test_local_rows_go_when_old_and_handled_by_every_group(local: World) -> None:
    """The slower group keeps them."""
    relay = Relay(local.producer, local.bus, retention_days=7)
    fast, slow = local.reader("fast"), local.reader("slow")
    local.emit(1)
    for consumer in (fast, slow):
        end = local.threads.start(consumer.run)
        wait_for(lambda consumer=consumer: consumer.lag() == {local.topic: 0})  # type: ignore[misc]
        end()
    local.emit(2, 3)
    local.threads.start(fast.run)
    wait_for(lambda: fast.lag() == {local.topic: 0})
    age(local.producer, 8)
    assert relay.clean() == 1
    assert count(local.producer, "outbox") == 2
    local.threads.start(slow.run)
    wait_for(lambda: slow.lag() == {local.topic: 0})
    assert relay.clean() == 2
    assert count(local.producer, "outbox") == 0
    local.emit(4)
    wait_for(lambda: local.effects() == [1, 1, 2, 3, 2, 3, 4, 4])


def test_the_inbox_forgets_after_its_time(local: World) -> None:
    """It does not grow without end."""
    end = local.threads.start(local.reader().run)
    local.emit(1, 2)
    wait_for(lambda: count(local.consumer, "inbox") == 2)
    end()
    relay = Relay(local.consumer, local.bus, inbox_days=30)
    age(local.consumer, 29)
    assert relay.clean() == 0
    age(local.consumer, 31)
    assert relay.clean() == 2


def test_a_local_event_arrives_at_once(local: World) -> None:
    """The commit wakes the consumer; it does not wait for its next look (0.5 s). The middle of ten counts."""
    arrived = threading.Event()
    reader = local.reader()
    reader.handlers[local.topic] = lambda _session, _event: arrived.set()
    local.threads.start(reader.run)
    waits = []
    for number in range(10):
        arrived.clear()
        before = utc_now()
        local.emit(number)
        assert arrived.wait(10)
        waits.append((utc_now() - before).total_seconds())
        time.sleep(0.05)  # it looks once more right after an event; only then does it wait
    assert sorted(waits)[5] < 0.25


steps = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), st.integers(1, 4)),
        st.tuples(st.just("rollback"), st.integers(1, 3)),
        st.tuples(st.just("consume"), st.integers(1, 3)),
        st.tuples(st.just("crash"), st.integers(1, 3)),
        st.tuples(st.just("forget"), st.just(0)),
    ),
    max_size=25,
)


@given(script=steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_each_committed_event_takes_effect_once_and_in_order(
    local: World, script: Sequence[tuple[str, int]]
) -> None:
    """Commits, rollbacks, crashes before the commit of a batch and lost positions in any order.

    The model is a list: the numbers of the committed emissions, in order.
    """
    for database in (local.producer, local.consumer):
        with database.transaction() as session:
            for table in ("outbox", "inbox", "consumer_offset", "dead_letter", "effect"):
                session.execute(sa.text(f"DELETE FROM {table}"))
    stop, committed, number = threading.Event(), [], 0
    subscription = local.bus.subscribe(local.group, local.consumer, [local.topic])
    for step, size in [*script, ("consume", 100)]:
        numbers = list(range(number, number + size))
        if step == "emit":
            local.emit(*numbers)
            committed += numbers
            number += size
        elif step == "rollback":
            with pytest.raises(ZeroDivisionError), local.producer.transaction() as session:  # noqa: PT012
                emit(session, counted_on(local.topic)(series="a", number=-1))
                raise ZeroDivisionError
        elif step == "forget":
            local.redeliver_all()
            subscription = local.bus.subscribe(local.group, local.consumer, [local.topic])
        else:
            reader = local.reader(batch_size=size)
            if step == "crash":
                stop.set()
                reader.handlers[local.topic] = _crash
            reader.step(subscription, stop, timeout_s=0)
            while step == "consume" and size == 100 and reader.step(subscription, stop, timeout_s=0):
                pass
            stop.clear()
            if step == "crash":
                subscription = local.bus.subscribe(local.group, local.consumer, [local.topic])
    assert local.effects() == committed


def _crash(session: sa.orm.Session, event: Event) -> None:
    insert = "INSERT INTO effect (event_id, series, number) VALUES (:id, 'a', -2)"
    session.execute(sa.text(insert), {"id": event.id})
    raise RuntimeError("crash before the commit")
