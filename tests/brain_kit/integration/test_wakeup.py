"""Consumers look where something of theirs was committed, and nowhere in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.database import Database, event_tables
from brain_kit.events import LocalBus, emit, wakeup

from tests.brain_kit.eventing import counted_on

Ours, Others = counted_on("brain.test.ours.v1"), counted_on("brain.test.others.v1")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/events.db", name="producer")
    metadata = sa.MetaData()
    event_tables(metadata)
    metadata.create_all(made.engine)
    yield made
    made.close()


def tell(database: Database, kind: type = Ours, number: int = 1) -> None:
    with database.transaction() as session:
        emit(session, kind(series="s", number=number))


def test_commits_are_counted_by_topic_and_rollbacks_are_not(database: Database) -> None:
    """A commit of another topic leaves a topic's number; the number of all grows with each commit."""
    tell(database)
    tell(database, Others)
    tell(database, Others)
    with database.transaction() as session:
        emit(session, Ours(series="s", number=2))
        session.rollback()
    assert wakeup.commits(database, [Ours.topic]) == 1
    assert wakeup.commits(database, [Others.topic]) == 2
    assert wakeup.commits(database, [Ours.topic, Others.topic]) == 3
    assert wakeup.commits(database) == 3


def test_who_waits_for_a_database_is_woken_by_its_commit(database: Database) -> None:
    """A wait of a minute ends with the commit; one whose number is old already does not begin."""
    seen = wakeup.commits(database)
    teller = threading.Timer(0.1, tell, [database])
    teller.start()
    began = time.monotonic()
    wakeup.wait_for_commit(database, seen, 60.0)
    wakeup.wait_for_commit(database, seen, 60.0)
    assert time.monotonic() - began < 30.0
    teller.join()


def test_who_waits_for_topics_sleeps_through_others(database: Database) -> None:
    """A commit of another topic wakes nobody; one of its own and a call to everybody do."""
    woken: list[str] = []

    def sleep(number: int) -> None:
        seen = wakeup.told([Ours.topic])
        ready.set()
        wakeup.wait_for([Ours.topic], seen, 60.0)
        woken.append(f"sleeper {number}")

    for wake in (lambda: tell(database), wakeup.notify):
        ready = threading.Event()
        sleeper = threading.Thread(target=sleep, args=(len(woken),))
        sleeper.start()
        ready.wait(10.0)
        before = list(woken)
        tell(database, Others)
        sleeper.join(0.2)
        assert woken == before
        wake()
        sleeper.join(30.0)
    assert woken == ["sleeper 0", "sleeper 1"]


def test_a_subscription_reads_what_comes_after_commits_of_other_topics(database: Database) -> None:
    """It looks past the others' events once and takes its own, each one time and in order."""
    bus = LocalBus()
    bus.register("producer", database)
    subscription = bus.subscribe("reader", database, [Ours.topic])
    taken = []
    for number in range(5):
        tell(database, Others, number)
        assert subscription.poll(0.0, 10) == []
        tell(database, Ours, number)
        found = subscription.poll(0.0, 10)
        with database.transaction() as session:
            subscription.store(session, found)
        subscription.acknowledge()
        taken += [delivery.event.data["number"] for delivery in found]
    assert taken == list(range(5))


def test_a_commit_of_another_process_is_found_by_looking(database: Database, tmp_path: Path) -> None:
    """Nobody tells of it here: another object for the same file stands for the other process."""
    bus = LocalBus()
    bus.register("producer", database)
    subscription = bus.subscribe("reader", database, [Ours.topic])
    assert subscription.poll(0.0, 10) == []
    elsewhere = Database(f"sqlite:///{tmp_path}/events.db", name="producer")
    tell(elsewhere)
    deadline = time.monotonic() + 30.0
    while not (found := subscription.poll(0.1, 10)) and time.monotonic() < deadline:
        pass
    elsewhere.close()
    assert [delivery.event.data["number"] for delivery in found] == [1]
