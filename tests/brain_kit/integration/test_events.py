"""What every bus promises: the same tests on SQLite with the local bus and on PostgreSQL with Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import (
    Consumer,
    Event,
    Relay,
    ReplayFailed,
    Wanted,
    dead_letters,
    emit,
    emit_all,
    kafka_bus,
    open_bus,
)
from brain_kit.problems import NotFound
from brain_kit.telemetry.tracing import current_traceparent, server_span
from sqlalchemy.orm import Session

from tests.brain_kit.eventing import Counted, World, counted_on, opened, wait_for
from tests.brain_kit.sample_service import write_package


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two services and a bus; its relay is running."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    write_package(tmp_path / "packages")
    url, events_url, prefix = f"sqlite:///{tmp_path}/{{service}}.db", "local:", ""
    if request.param == "kafka":
        names = ("database_urls", "events_url", "topic_prefix")
        url, events_url, prefix = (request.getfixturevalue(name) for name in names)
    producer, consumer = (Database(url.replace("{service}", name), name=name) for name in ("producer", "consumer"))
    with opened(producer, consumer, open_bus(events_url), prefix=prefix, relays=request.param == "kafka") as world:
        world.start_relay()
        yield world


def test_an_event_arrives_as_it_was_emitted(world: World) -> None:
    """Id, topic, key, source and data are the producer's; the time is that of the emission."""
    arrived: list[Event] = []
    handlers = {world.topic: lambda _session, event: arrived.append(event)}
    world.threads.start(Consumer(world.group, world.consumer, world.bus, handlers).run)
    before = utc_now()
    (event_id,) = world.emit(7, series="钢铁 \U0001f600")
    wait_for(lambda: bool(arrived))
    event = arrived[0]
    assert (event.id, event.topic, event.key, event.source) == (event_id, world.topic, "钢铁 \U0001f600", "producer")
    assert event.payload(Counted) == Counted(series="钢铁 \U0001f600", number=7)
    assert before <= event.time <= utc_now()


def test_a_group_that_was_idle_hears_of_the_next_event_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It then lets the broker wait for news: with ten seconds to wait, the answer comes when there is something."""
    monkeypatch.setattr(kafka_bus, "IDLE_AFTER_S", 0.1)
    monkeypatch.setattr(kafka_bus, "IDLE_WAIT_MS", 10_000)
    world.threads.start(world.reader().run)
    world.emit(1)
    wait_for(lambda: world.effects() == [1])
    time.sleep(1.0)  # so that a long question is on its way
    world.emit(2)
    wait_for(lambda: world.effects() == [1, 2], timeout_s=5)


def test_the_trace_of_the_request_goes_on_in_the_handler(world: World) -> None:
    """The handler runs in the trace in which the event was emitted."""
    seen: list[str] = []

    def handler(_session: Session, _event: Event) -> None:
        seen.append(current_traceparent())

    world.threads.start(Consumer(world.group, world.consumer, world.bus, {world.topic: handler}).run)
    with server_span("request", None, {}) as parent:
        world.emit(1)
    wait_for(lambda: bool(seen))
    assert [trace.split("-")[1] for trace in seen] == [parent.split("-")[1]]


def test_events_that_are_none_of_the_groups_business_are_passed_over_for_good(world: World) -> None:
    """They call no handler and leave no word in the inbox, and do not come again after those that were wanted."""
    handlers, wanted = {world.topic: world.handle}, {world.topic: Wanted(lambda event: event.data["number"] % 2 == 0)}
    ids = world.emit(1, 2, 3, 4, 5)
    consumer = Consumer(world.group, world.consumer, world.bus, handlers, wanted=wanted)
    world.threads.start(consumer.run)
    wait_for(lambda: world.effects() == [2, 4])
    wait_for(lambda: consumer.lag() == {world.topic: 0})
    with world.consumer.reading() as session:
        admitted = session.execute(sa.text('SELECT event_id FROM inbox WHERE "group" = :name'), {"name": world.group})
        assert set(admitted.scalars()) == {ids[1], ids[3]}
    assert world.called == [2, 4]


def test_events_without_the_word_are_left_out_and_count_as_read(world: World) -> None:
    """Also those that come after all that has the word."""
    wanted = {world.topic: Wanted(lambda event: "7" in str(event.data["number"]), word="7")}
    world.emit(7, 8, 77, 9)
    consumer = Consumer(world.group, world.consumer, world.bus, {world.topic: world.handle}, wanted=wanted)
    world.threads.start(consumer.run)
    wait_for(lambda: world.effects() == [7, 77])
    wait_for(lambda: consumer.lag() == {world.topic: 0})
    world.emit(8)
    wait_for(lambda: consumer.lag() == {world.topic: 0})
    assert world.called == [7, 77]


def test_a_rollback_leaves_no_event(world: World) -> None:
    """What did not happen is not told."""
    world.threads.start(world.reader().run)
    with pytest.raises(ZeroDivisionError), world.producer.transaction() as session:  # noqa: PT012
        emit(session, counted_on(world.topic)(series="a", number=1))
        raise ZeroDivisionError
    world.emit(2)
    wait_for(lambda: world.effects() == [2])
    assert world.called == [2]


def test_events_of_a_key_keep_their_order(world: World) -> None:
    """Four series written by four threads, each in order, whatever comes between."""
    world.threads.start(world.reader(batch_size=7).run)

    def write(series: str) -> None:
        message = counted_on(world.topic)
        for start in range(0, 60, 3):
            with world.producer.transaction() as session:
                emit_all(session, [message(series=series, number=start + step) for step in range(3)])

    writers = [threading.Thread(target=write, args=(series,)) for series in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for series in "abcd":
        wait_for(lambda series=series: len(world.effects(series)) >= 60)  # type: ignore[misc]
        assert world.effects(series) == list(range(60))


def test_a_second_delivery_changes_nothing(world: World) -> None:
    """The inbox knows the ids; an event emitted afterwards shows that the repeats were delivered before it."""
    end = world.threads.start(world.reader().run)
    world.emit(*range(20))
    wait_for(lambda: len(world.effects()) == 20)
    end()
    world.redeliver_all()
    world.threads.start(world.reader().run)
    world.emit(20)
    wait_for(lambda: 20 in world.effects())
    assert world.effects() == list(range(21))


def test_a_poison_event_becomes_a_dead_letter_and_the_rest_goes_on(world: World) -> None:
    """It is tried three times, its partial effects are taken back, and `<topic>.dead` tells about it."""
    world.failing.add(2)
    notices: list[Event] = []
    dead = f"{world.topic}.dead"
    world.threads.start(world.reader(attempts=3, batch_size=1).run)
    watcher = Consumer(
        f"{world.group}.watch", world.producer, world.bus, {dead: lambda _s, event: notices.append(event)}
    )
    world.threads.start(watcher.run)
    poison = world.emit(1, 2, 3)[1]
    wait_for(lambda: len(world.effects()) == 2)
    assert world.effects() == [1, 3]
    assert world.called.count(2) == 3
    (letter,) = world.rows("dead_letter")
    assert (letter.group, letter.topic, letter.attempts, letter.state) == (world.group, world.topic, 3, "dead")
    assert letter.error == "ValueError: 2 is not to be had"
    if world.relays:
        world.threads.start(Relay(world.consumer, world.bus).run)
    wait_for(lambda: bool(notices))
    assert notices[0].data["event"]["id"] == poison
    assert notices[0].data["group"] == world.group


def test_a_batch_with_a_poison_event_applies_the_others_once(world: World) -> None:
    """The batch is taken back as a whole and goes one by one."""
    world.failing.add(25)
    world.emit(*range(50))
    world.threads.start(world.reader(batch_size=50).run)
    wait_for(lambda: len(world.effects()) == 49)
    assert world.effects() == [number for number in range(50) if number != 25]


def test_a_repaired_handler_replays_the_dead_letter_once(world: World) -> None:
    """Queued from anywhere, done by the consumer; a second replay is refused."""
    world.failing.add(2)
    reader = world.reader()
    world.threads.start(reader.run)
    world.emit(1, 2, 3)
    wait_for(lambda: bool(world.rows("dead_letter")))
    (letter,) = world.rows("dead_letter")
    with pytest.raises(ReplayFailed, match="2 is not to be had"):
        reader.replay(letter.id)
    assert world.rows("dead_letter")[0].attempts == 4
    world.failing.clear()
    with world.consumer.transaction() as session:
        dead_letters.queue_replay(session, letter.id)
    wait_for(lambda: world.rows("dead_letter")[0].state == "replayed")
    assert sorted(world.effects()) == [1, 2, 3]
    with pytest.raises(dead_letters.AlreadyReplayed):
        reader.replay(letter.id)
    with pytest.raises(NotFound):
        reader.replay(letter.id + 1)
    assert sorted(world.effects()) == [1, 2, 3]


def test_a_dead_letter_that_is_delivered_again_stays_one(world: World) -> None:
    """A crash before the position was kept does not bury it twice."""
    world.failing.add(1)
    end = world.threads.start(world.reader().run)
    world.emit(1)
    wait_for(lambda: bool(world.rows("dead_letter")))
    end()
    world.redeliver_all()
    world.threads.start(world.reader().run)
    world.emit(2)
    wait_for(lambda: world.effects() == [2])
    assert len(world.rows("dead_letter")) == 1


def test_every_group_gets_every_event(world: World) -> None:
    """Groups do not take events from each other, also when both live in one database."""
    world.threads.start(world.reader(f"{world.group}.1").run)
    world.threads.start(world.reader(f"{world.group}.2").run)
    world.emit(1, 2, 3)
    wait_for(lambda: len(world.effects()) == 6)
    assert sorted(world.effects()) == [1, 1, 2, 2, 3, 3]


def test_two_members_of_a_group_handle_each_event_once(world: World) -> None:
    """A second worker process of a service doubles nothing."""
    for _ in range(2):
        world.threads.start(world.reader(batch_size=5).run)
    for number in range(40):
        world.emit(number, series=f"s{number % 8}")

    def found() -> list[int]:
        return sorted(number for n in range(8) for number in world.effects(f"s{n}"))

    wait_for(lambda: len(found()) >= 40)
    assert found() == list(range(40))


def test_a_group_that_learns_a_topic_gets_its_earlier_events(world: World) -> None:
    """An upgrade that adds a handler sees the events that are still kept."""
    later = f"{world.topic}.more"
    end = world.threads.start(world.reader().run)
    world.emit(1, 2)
    world.emit(100, topic=later)
    world.emit(3)
    wait_for(lambda: len(world.effects()) == 3)
    end()
    handlers = dict.fromkeys((world.topic, later), world.handle)
    world.threads.start(Consumer(world.group, world.consumer, world.bus, handlers).run)
    wait_for(lambda: len(world.effects()) == 4)
    assert world.effects() == [1, 2, 3, 100]


def test_lag_counts_what_is_not_handled(world: World) -> None:
    """Five events wait; after the consumer ran none does."""
    reader = world.reader()
    end = world.threads.start(reader.run)
    world.emit(0)
    wait_for(lambda: reader.lag() == {world.topic: 0} and world.effects() == [0])
    end()
    world.emit(1, 2, 3, 4, 5)
    wait_for(lambda: reader.lag() == {world.topic: 5})
    world.threads.start(reader.run)
    wait_for(lambda: reader.lag() == {world.topic: 0})
    assert world.effects() == [0, 1, 2, 3, 4, 5]


def test_an_event_too_large_for_the_broker_is_refused_at_once(world: World) -> None:
    """It must not enter the outbox, where it would stop everything behind it."""
    with pytest.raises(ValueError, match="send a reference instead"):
        world.emit(1, series="x" * 1_000_000)
    with world.producer.reading() as session:
        assert session.execute(sa.text("SELECT count(*) FROM outbox")).scalar() == 0
