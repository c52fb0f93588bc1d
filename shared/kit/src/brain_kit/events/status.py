"""How events stand in a service: what waits in the outbox, how far behind each group is, what is dead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.database.tables import DEAD_LETTER, OUTBOX
from brain_kit.events.bus import EventBus
from brain_kit.problems import Unavailable

MAX_PAGE = 500


def event_status(database: Database, bus: EventBus, group: str, topics: Iterable[str]) -> dict[str, Any]:
    """Outbox, lag and dead letters of a service's group, as JSON members.

    outbox: rows that the broker or another group still waits for, and the age of the oldest in seconds. lag: events
    per topic that the group has not handled; null, with `bus_error`, when the bus does not answer. dead_letters: by
    state. Raises DatabaseUnavailable.
    """
    status: dict[str, Any] = {"service": database.name, "group": group, "outbox": _outbox(database, bus)}
    try:
        status["lag"] = bus.lag(group, database, sorted(topics))
    except Unavailable as problem:
        status |= {"lag": None, "bus_error": problem.code}
    return status | {"dead_letters": _dead_letters(database, group)}


def recent_events(database: Database, *, topic: str = "", before: int | None = None, limit: int = 50) -> dict[str, Any]:
    """Events of the outbox, newest first, as a keyset page: `items` and `next` (the `before` of the next page)."""
    columns = [OUTBOX.c[name] for name in ("id", "event_id", "topic", "key", "time", "published_at")]
    query = sa.select(*columns).order_by(OUTBOX.c.id.desc()).limit(limit + 1)
    if topic:
        query = query.where(OUTBOX.c.topic == topic)
    if before is not None:
        query = query.where(OUTBOX.c.id < before)
    with database.reading() as session:
        rows = session.execute(query).all()
    items = [
        {
            "id": row.event_id,
            "topic": row.topic,
            "key": row.key,
            "time": rfc3339(row.time),
            "published_at": rfc3339(row.published_at) if row.published_at else None,
        }
        for row in rows[:limit]
    ]
    return {"items": items, "next": str(rows[limit - 1].id) if len(rows) > limit else None}


def _outbox(database: Database, bus: EventBus) -> dict[str, Any]:
    # Asked first: with the local bus it reads other databases, and one session at a time is enough.
    pending = bus.pending(database)
    with database.reading() as session:
        query = sa.select(sa.func.count(), sa.func.min(OUTBOX.c.time)).select_from(OUTBOX).where(pending)
        depth, oldest = session.execute(query).one()
    age = max(0.0, (utc_now() - oldest).total_seconds()) if oldest else None
    return {"pending": depth, "oldest_pending_s": None if age is None else round(age, 3)}


def _dead_letters(database: Database, group: str) -> dict[str, int]:
    query = sa.select(DEAD_LETTER.c.state, sa.func.count()).where(DEAD_LETTER.c.group == group)
    with database.reading() as session:
        found: dict[str, int] = dict(session.execute(query.group_by(DEAD_LETTER.c.state)).tuples().all())
    return {"dead": 0, "queued": 0, "replayed": 0} | found
