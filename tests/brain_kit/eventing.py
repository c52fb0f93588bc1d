"""A producer, a consumer and a bus between them, for the tests of events."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import sqlalchemy as sa
from brain_kit.database import Database
from brain_kit.events import Consumer, Event, EventBus, Relay, emit
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session


class Counted(BaseModel):
    """The number-th event of a series; events of a series must stay in order."""

    model_config = ConfigDict(frozen=True)
    topic: ClassVar[str] = ""
    series: str
    number: int

    def key(self) -> str:
        """The series."""
        return self.series


def counted_on(name: str) -> type[Counted]:
    """The same message on a topic of this name."""

    class CountedOn(Counted):
        topic: ClassVar[str] = name

    return CountedOn


class Threads:
    """Workers in threads, each with its own stop event, all ended at the end of the block."""

    def __init__(self) -> None:
        self._running: list[tuple[threading.Thread, threading.Event]] = []

    def start(self, run: Callable[[threading.Event], None]) -> Callable[[], None]:
        """Run it in a thread; returns what stops it and waits for its end."""
        stop = threading.Event()
        thread = threading.Thread(target=run, args=(stop,))
        thread.start()
        self._running.append((thread, stop))

        def end() -> None:
            stop.set()
            thread.join(30)
            assert not thread.is_alive(), "a worker does not stop"

        return end

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            running[1].set()
        for running in self._running:
            running[0].join(30)


@dataclass
class World:
    """Two services and a bus; topics and groups carry the prefix of the test."""

    producer: Database
    consumer: Database
    bus: EventBus
    threads: Threads
    prefix: str = ""
    relays: bool = False
    failing: set[int] = field(default_factory=set)
    called: list[int] = field(default_factory=list)

    @property
    def topic(self) -> str:
        """The topic most tests use."""
        return f"{self.prefix}brain.test.counted.v1"

    @property
    def group(self) -> str:
        """The group most tests use."""
        return f"{self.prefix}reader"

    def emit(self, *numbers: int, series: str = "a", topic: str = "") -> list[str]:
        """Emit these numbers in one transaction."""
        message = counted_on(topic or self.topic)
        with self.producer.transaction() as session:
            return [emit(session, message(series=series, number=number)) for number in numbers]

    def handle(self, session: Session, event: Event) -> None:
        """Write the effect of the event; fails, after having written, for numbers in `failing`."""
        counted = event.payload(Counted)
        self.called.append(counted.number)
        insert = "INSERT INTO effect (event_id, series, number) VALUES (:event_id, :series, :number)"
        session.execute(sa.text(insert), {"event_id": event.id} | counted.model_dump())
        if counted.number in self.failing:
            raise ValueError(f"{counted.number} is not to be had")

    def reader(self, group: str = "", *, attempts: int = 3, batch_size: int = 500, topic: str = "") -> Consumer:
        """A consumer that writes effects."""
        return Consumer(
            group or self.group,
            self.consumer,
            self.bus,
            {topic or self.topic: self.handle},
            attempts=attempts,
            backoff_s=0.01,
            batch_size=batch_size,
        )

    def start_relay(self) -> None:
        """Bring the producer's events to the broker, where there is one."""
        self.threads.start(Relay(self.producer, self.bus).run)

    def effects(self, series: str = "a") -> list[int]:
        """The numbers of the series in the order in which they took effect."""
        query = sa.text("SELECT number FROM effect WHERE series = :series AND event_id != 'migration' ORDER BY id")
        with self.consumer.reading() as session:
            return list(session.execute(query, {"series": series}).scalars())

    def redeliver_all(self, group: str = "") -> None:
        """Have the bus deliver everything again, as after a crash before a position was kept."""
        if self.relays:
            with self.producer.transaction() as session:
                session.execute(sa.text("UPDATE outbox SET published_at = NULL"))
            return
        with self.consumer.transaction() as session:
            forget = sa.text('DELETE FROM consumer_offset WHERE "group" = :name')
            session.execute(forget, {"name": group or self.group})

    def rows(self, table: str) -> list[sa.Row[tuple[object, ...]]]:
        """All rows of a table of the consumer's database by id."""
        with self.consumer.reading() as session:
            return list(session.execute(sa.text(f"SELECT * FROM {table} ORDER BY id")).all())


def wait_for(claim: Callable[[], bool], timeout_s: float = 20.0, what: str = "the awaited state") -> None:
    """Return when the claim holds; AssertionError after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.01)


@contextlib.contextmanager
def opened(producer: Database, consumer: Database, bus: EventBus, *, prefix: str, relays: bool) -> Iterator[World]:
    """The world with both schemas, its relay not started; everything is stopped and closed at the end."""
    for database in (producer, consumer):
        database.migrate("sample_service")
        bus.register(database.name, database)
    with Threads() as threads:
        yield World(producer, consumer, bus, threads, prefix, relays)
    bus.close()
    producer.close()
    consumer.close()
