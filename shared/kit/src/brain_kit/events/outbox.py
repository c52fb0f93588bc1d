"""Writing events: one row in the outbox, in the transaction of the change that the event tells about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from opentelemetry import propagate
from sqlalchemy.orm import Session

from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.database.locks import advisory_key
from brain_kit.database.tables import OUTBOX
from brain_kit.events import wakeup
from brain_kit.events.event import Event, EventData
from brain_kit.ids import new_id

# Kafka refuses a message above 1 MiB; what it would refuse must not enter the outbox, where it would block the rest.
MAX_DATA_BYTES = 900_000


def emit(session: Session, event: EventData, *, key: str | None = None) -> str:
    """Write the event to the outbox in the caller's transaction and return its id.

    key: orders the event among those with the same key; by default the event's own. The session comes from
    `Database.transaction()`. Nothing is sent when the transaction rolls back. Raises ValueError above 900 kB.
    """
    return write(session, event.topic, key or event.key(), event.model_dump(mode="json"))


def emit_all(session: Session, events: Sequence[EventData]) -> list[str]:
    """Like `emit` for many events at once, much faster; they keep their order. Returns their ids."""
    rows = [_row(session, event.topic, event.key(), event.model_dump(mode="json")) for event in events]
    _insert(session, rows)
    return [row["event_id"] for row in rows]


def write(session: Session, topic: str, key: str, data: dict[str, Any]) -> str:
    """Write an event without a contract model to the outbox; for the kit's own use (dead letters)."""
    row = _row(session, topic, key, data)
    _insert(session, [row])
    return str(row["event_id"])


def event_of(row: sa.Row[Any]) -> Event:
    """The event of an outbox row."""
    return Event(row.event_id, row.topic, row.key, row.source, row.time, row.data, row.traceparent)


def _row(session: Session, topic: str, key: str, data: dict[str, Any]) -> dict[str, Any]:
    size = len(orjson.dumps(data))
    if size > MAX_DATA_BYTES:
        raise ValueError(f"event {topic} has {size} bytes of data, at most {MAX_DATA_BYTES}: send a reference instead")
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {
        "event_id": new_id("evt"),
        "topic": topic,
        "key": key,
        "time": utc_now(),
        "source": _database(session).name,
        "data": data,
        "traceparent": carrier.get("traceparent"),
    }


def _insert(session: Session, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    database = _database(session)
    if database.ordered_outbox and not database.is_sqlite:
        # PostgreSQL gives out ids before the commit, so a later id can become visible first, and a reader that keeps
        # the last id seen would skip the earlier one. SQLite has one writer, and Kafka's relay reads by mark, not id.
        lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
        session.execute(lock, {"key": advisory_key("outbox-order")})
    session.execute(sa.insert(OUTBOX), rows)
    wakeup.on_commit(session)


def _database(session: Session) -> Database:
    database = session.info.get("database")
    if not isinstance(database, Database):
        raise TypeError("emit needs a session of Database.transaction()")
    return database
