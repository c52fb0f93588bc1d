"""Writing events: one row in the outbox, in the transaction of the change that the event tells about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.database.bulk import insert_rows
from brain_kit.database.locks import advisory_key
from brain_kit.database.tables import OUTBOX
from brain_kit.events import wakeup
from brain_kit.events.event import Event, EventData
from brain_kit.ids import new_id
from brain_kit.telemetry.tracing import current_traceparent

# Kafka refuses a message above 1 MiB; what it would refuse must not enter the outbox, where it would block the rest.
MAX_DATA_BYTES = 900_000
# The data are text already: they were measured, and need not be turned into text twice.
_COLUMNS = ("event_id", "topic", "key", "time", "source", "data", "traceparent")
_AS_TEXT = sa.table(
    "outbox", *(sa.column(name, OUTBOX.c[name].type if name != "data" else sa.Text()) for name in _COLUMNS)
)
# The driver sends one statement a row, which is slow over a network; arrays make it one statement for all.
_INSERT_MANY = sa.text("""
    INSERT INTO outbox (event_id, topic, key, time, source, data, traceparent)
    SELECT event_id, topic, key, time, source, CAST(data AS json), traceparent FROM unnest(
        CAST(:event_id AS text[]), CAST(:topic AS text[]), CAST(:key AS text[]), CAST(:time AS timestamptz[]),
        CAST(:source AS text[]), CAST(:data AS text[]), CAST(:traceparent AS text[])
    ) WITH ORDINALITY AS listed(event_id, topic, key, time, source, data, traceparent, place) ORDER BY place
""")


def emit(session: Session, event: EventData, *, key: str | None = None) -> str:
    """Write the event to the outbox in the caller's transaction and return its id.

    key: orders the event among those with the same key; by default the event's own. The session comes from
    `Database.transaction()`. Nothing is sent when the transaction rolls back. Raises ValueError above 900 kB.
    """
    return _write(session, [(event.topic, key or event.key(), event.model_dump_json())])[0]


def emit_all(session: Session, events: Sequence[EventData], *, traceparents: Sequence[str] | None = None) -> list[str]:
    """Like `emit` for many events at once, much faster; they keep their order. Returns their ids.

    traceparents: what each event belongs to, empty for nothing; by default all to the work at hand.
    """
    told = [(event.topic, event.key(), event.model_dump_json()) for event in events]
    return _write(session, told, traceparents)


def write(session: Session, topic: str, key: str, data: dict[str, Any]) -> str:
    """Write an event without a contract model to the outbox; for the kit's own use (dead letters)."""
    return _write(session, [(topic, key, orjson.dumps(data).decode())])[0]


def event_of(row: sa.Row[Any]) -> Event:
    """The event of an outbox row."""
    return Event(row.event_id, row.topic, row.key, row.source, row.time, row.data, row.traceparent)


def _write(
    session: Session, events: Sequence[tuple[str, str, str]], traceparents: Sequence[str] | None = None
) -> list[str]:
    if not events:
        return []
    database = _database(session)
    rows = _rows(database.name, events)
    for row, traceparent in zip(rows, traceparents or (), strict=traceparents is not None):
        row["traceparent"] = traceparent or None
    if database.ordered_outbox and not database.is_sqlite:
        # PostgreSQL gives out ids before the commit, so a later id can become visible first, and a reader that keeps
        # the last id seen would skip the earlier one. SQLite has one writer, and Kafka's relay reads by mark, not id.
        lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
        session.execute(lock, {"key": advisory_key("outbox-order")})
    if database.is_sqlite:
        insert_rows(session, _AS_TEXT, rows)
    else:
        session.execute(_INSERT_MANY, {name: [row[name] for row in rows] for name in rows[0]})
    wakeup.on_commit(session, {topic for topic, _, _ in events})
    return [row["event_id"] for row in rows]


def _rows(source: str, events: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    common = {"time": utc_now(), "source": source, "traceparent": current_traceparent() or None}
    rows = []
    for topic, key, text in events:
        if 4 * len(text) > MAX_DATA_BYTES and (size := len(text.encode())) > MAX_DATA_BYTES:
            words = f"{size} bytes of data, at most {MAX_DATA_BYTES}"
            raise ValueError(f"event {topic} has {words}: send a reference instead")
        rows.append({"event_id": new_id("evt"), "topic": topic, "key": key, "data": text, **common})
    return rows


def _database(session: Session) -> Database:
    database = session.info.get("database")
    if not isinstance(database, Database):
        raise TypeError("emit needs a session of Database.transaction()")
    return database
