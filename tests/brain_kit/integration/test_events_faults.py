"""Servers that die in the middle of a stream of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_kit.database import Database, DatabaseUnavailable
from brain_kit.events import event_status, open_bus
from brain_kit.events.kafka_bus import BusUnavailable, KafkaBus
from brain_testing.ports import free_ports
from brain_testing.servers import Kafka, Postgres

from tests.brain_kit.eventing import World, opened, wait_for
from tests.brain_kit.sample_service import write_package

pytestmark = [pytest.mark.servers, pytest.mark.fault]

SERIES = 3
EACH = 150


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_urls: str, events_url: str, topic_prefix: str
) -> Iterator[World]:
    """Two services on PostgreSQL and Kafka, relay and consumer running."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    write_package(tmp_path / "packages")
    databases = [Database(database_urls.replace("{service}", name), name=name) for name in ("producer", "consumer")]
    with opened(databases[0], databases[1], open_bus(events_url), prefix=topic_prefix, relays=True) as world:
        world.start_relay()
        world.threads.start(world.reader(batch_size=20).run)
        yield world


class Stream(threading.Thread):
    """Emits EACH events in SERIES series, about 300 a second; repeats an emission only when it was refused."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def run(self) -> None:
        """Emit them all."""
        for number in range(EACH):
            for series in range(SERIES):
                self._emit(series, number)
            time.sleep(0.01)

    def _emit(self, series: int, number: int) -> None:
        while True:
            try:
                self._world.emit(number, series=f"s{series}")
            except DatabaseUnavailable:
                time.sleep(0.05)
            else:
                return


def arrived(world: World) -> int:
    """How many effects there are."""
    return sum(len(world.effects(f"s{series}")) for series in range(SERIES))


def test_a_killed_broker_loses_doubles_and_reorders_nothing(world: World, kafka: Kafka) -> None:
    """SIGKILL while events flow, restart two seconds later: every event once, in order, without any action."""
    stream = Stream(world)
    stream.start()
    wait_for(lambda: arrived(world) > 60)
    kafka.kill()
    stopped_at = arrived(world)
    time.sleep(2)
    during = event_status(world.producer, world.bus, world.group, [world.topic])
    kafka.restart()
    stream.join()
    wait_for(lambda: arrived(world) >= SERIES * EACH, timeout_s=60, what="the rest of the events")
    assert stopped_at < SERIES * EACH
    assert during["outbox"]["pending"] > 0
    assert (during["lag"], during["bus_error"]) == (None, "event_bus_unavailable")
    for series in range(SERIES):
        assert world.effects(f"s{series}") == list(range(EACH))


def test_a_frozen_broker_delays_only(world: World, kafka: Kafka) -> None:
    """SIGSTOP for three seconds: connections stay open, nothing answers, then all goes on."""
    stream = Stream(world)
    stream.start()
    wait_for(lambda: arrived(world) > 60)
    kafka.freeze()
    time.sleep(3)
    kafka.thaw()
    stream.join()
    wait_for(lambda: arrived(world) >= SERIES * EACH, timeout_s=60, what="the rest of the events")
    for series in range(SERIES):
        assert world.effects(f"s{series}") == list(range(EACH))


def test_a_killed_postgresql_loses_and_doubles_nothing(world: World, postgres: Postgres) -> None:
    """Emitter, relay and consumer lose their database at the same moment and find it again.

    A commit whose answer was lost may have happened; the emitter repeats it, so a number may be there twice with
    two event ids: each id takes effect once.
    """
    stream = Stream(world)
    stream.start()
    wait_for(lambda: arrived(world) > 60)
    postgres.kill()
    time.sleep(0.5)
    postgres.restart()
    stream.join()
    wait_for(lambda: arrived(world) >= SERIES * EACH, timeout_s=60, what="the rest of the events")
    wait_for(lambda: event_status(world.producer, world.bus, "", [])["outbox"]["pending"] == 0)
    ids = [row.event_id for row in world.rows("effect")]
    assert len(ids) == len(set(ids))
    for series in range(SERIES):
        assert list(dict.fromkeys(world.effects(f"s{series}"))) == list(range(EACH))
    assert world.rows("dead_letter") == []


@pytest.mark.parametrize("ask", ["ping", "publisher"])
def test_asking_an_absent_broker_leaves_no_thread_behind(ask: str) -> None:
    """A readiness check fails every few seconds while the broker is away; each must clean up after itself."""
    bus = KafkaBus(f"127.0.0.1:{free_ports(1)[0]}", answer_within_s=0.3)
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            getattr(bus, ask)()
    wait_for(lambda: threading.active_count() <= before)
