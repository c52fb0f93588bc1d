"""Pushes that come at the same time are kept together, and what is wrong with one is no other's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_contracts.events import AuditRecorded, PushChanged
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database, DatabaseUnavailable
from brain_kit.events import wakeup
from brain_kit.ids import new_id
from brain_kit.telemetry.tracing import server_span
from data_hub import store
from data_hub.service.arrivals import Arrivals, Judged
from data_hub.service.contracts import register_canonical
from data_hub.store import PushRecord

CALLER = Principal("key:1", "key", "91370300MA3C00001U", "provider", org_name="测试", roles=frozenset({"provider"}))

TOPICS = (PushChanged.topic, AuditRecorded.topic)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database of the service."""
    database = Database(f"sqlite:///{tmp_path / 'data-hub.db'}", name="data-hub")
    database.migrate("data_hub")
    register_canonical(database)
    yield database
    database.close()


def judged(key: str | None = None) -> Judged:
    """A push that is right."""
    record = PushRecord(
        id=new_id("psh"), dataset="enterprise.enterprise_monthly", owner=CALLER.org, subject=CALLER.subject,
        mode="append", state="validated", contract_version="1.0.0", media_type="application/x-ndjson",
        created_at=utc_now(),
        idempotency_key=key, received=1, accepted=1,
    )  # fmt: skip
    return Judged(record, b"rows")


def kept(database: Database) -> set[str]:
    """The ids of the pushes that are safe, each with its rows."""
    with database.reading() as session:
        ids = {record.id for record in store.list_pushes(session, owner=None, limit=500)}
        assert set(store.load_staged_bytes(session, sorted(ids))) == ids
        return ids


def told(database: Database) -> list[tuple[str, str, str]]:
    """(topic, push, trace) of the events."""
    query = sa.text("SELECT topic, data, traceparent FROM outbox ORDER BY id").columns(data=sa.JSON)
    with database.reading() as session:
        rows = session.execute(query).all()
    return [
        (row.topic, row.data.get("push_id") or row.data["detail"]["push"], (row.traceparent or "-").split("-")[1])
        for row in rows
        if row.topic in TOPICS
    ]


def test_what_comes_together_is_one_transaction_and_each_event_stays_in_its_trace(database: Database) -> None:
    """Sixty pushes at once: few commits, one event and one audit record each, in the trace of their request."""
    safe: list[str] = []
    arrivals = Arrivals(database, lambda records: safe.extend(record.id for record in records))
    traces: dict[str, str] = {}

    async def send() -> None:
        push = judged()
        with server_span("push", None, {}) as trace:
            traces[push.record.id] = trace.split("-")[1]
            assert await arrivals.add(CALLER, lambda: push) is push.record
        assert push.record.id in safe

    async def all_at_once() -> None:
        await asyncio.gather(*(send() for _ in range(60)))

    before = wakeup.commits(database)
    asyncio.run(all_at_once())

    assert kept(database) == set(traces) == set(safe)
    assert 1 <= wakeup.commits(database) - before <= 3
    expected = [(topic, push, trace) for push, trace in traces.items() for topic in TOPICS]
    assert sorted(told(database)) == sorted(expected)


def test_what_is_wrong_with_one_is_no_others_trouble(database: Database) -> None:
    """A used Idempotency-Key, a judge that fails, one that gives nothing, a caller that goes away."""
    arrivals = Arrivals(database, lambda records: None)
    right, again, gone = [judged() for _ in range(5)], judged("key"), judged()

    def fail() -> Judged:
        raise ZeroDivisionError

    async def all_at_once() -> list[object]:
        await arrivals.add(CALLER, lambda: judged("key"))
        leaving = asyncio.create_task(arrivals.add(CALLER, lambda: gone))
        await asyncio.sleep(0)
        leaving.cancel()
        others = [arrivals.add(CALLER, fail), arrivals.add(CALLER, lambda: None), arrivals.add(CALLER, lambda: again)]
        fine = [arrivals.add(CALLER, lambda push=push: push) for push in right]  # type: ignore[misc]
        return list(await asyncio.gather(*others, *fine, return_exceptions=True))

    failed, nothing, reused, *fine = asyncio.run(all_at_once())

    assert isinstance(failed, ZeroDivisionError)
    assert nothing is None
    assert isinstance(reused, sa.exc.IntegrityError)
    assert fine == [push.record for push in right]
    ids = kept(database)
    assert {push.record.id for push in right} | {gone.record.id} <= ids
    assert again.record.id not in ids
    assert len(ids) == 7


def test_a_database_that_is_away_is_told_to_all_and_the_next_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, nothing is kept by halves."""
    arrivals = Arrivals(database, lambda records: None)

    async def some(number: int) -> list[object]:
        pushes = [judged() for _ in range(number)]
        adding = (arrivals.add(CALLER, lambda push=push: push) for push in pushes)  # type: ignore[misc]
        return list(await asyncio.gather(*adding, return_exceptions=True))

    with monkeypatch.context() as away:
        away.setattr(store, "insert_pushes", lambda *_: (_ for _ in ()).throw(DatabaseUnavailable("away")))
        assert {type(outcome) for outcome in asyncio.run(some(4))} == {DatabaseUnavailable}
    assert kept(database) == set()

    assert {type(outcome) for outcome in asyncio.run(some(4))} == {PushRecord}
    assert len(kept(database)) == 4
