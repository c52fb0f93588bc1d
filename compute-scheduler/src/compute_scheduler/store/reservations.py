"""Reservations and maintenance windows: reading and writing rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.reservation_tables import reservation_orgs, reservations
from compute_scheduler.store.tables import attempts, jobs, segments

Row = dict[str, Any]
LIVE = ("planned", "open")
# Statements are made once: to make one costs more than to run it.
_LIVE = sa.select(reservations).where(reservations.c.state.in_(LIVE)).order_by(reservations.c.id)
_DUE = _LIVE.where(
    sa.or_(
        (reservations.c.state == "planned") & (reservations.c.start_at <= sa.bindparam("now")),
        reservations.c.end_at <= sa.bindparam("now"),
    )
)
_ANY_DUE = _DUE.with_only_columns(reservations.c.id).order_by(None).limit(1)


def insert(session: Session, row: Row, orgs: Iterable[str]) -> None:
    """Adds one. Raises IntegrityError when its idempotency key is taken."""
    session.execute(sa.insert(reservations).values(row))
    named = [{"reservation": row["id"], "org": org} for org in sorted(set(orgs))]
    if named:
        session.execute(sa.insert(reservation_orgs), named)


def save(session: Session, reservation: str, values: Row) -> None:
    """Changes columns of one."""
    session.execute(sa.update(reservations).where(reservations.c.id == reservation).values(values))


def one(session: Session, reservation: str, *, lock: bool = False) -> Row | None:
    """One with its organisations."""
    query = sa.select(reservations).where(reservations.c.id == reservation)
    found = session.execute(query.with_for_update() if lock else query).mappings().first()
    return _with_orgs(session, [dict(found)])[0] if found else None


def by_idempotency(session: Session, key: str) -> Row | None:
    """The one that was made with a key."""
    found = session.execute(sa.select(reservations).where(reservations.c.idempotency_key == key)).mappings().first()
    return _with_orgs(session, [dict(found)])[0] if found else None


def live(session: Session) -> list[Row]:
    """Those that are planned or open, with their organisations, by id."""
    return _with_orgs(session, [dict(row) for row in session.execute(_LIVE).mappings()])


def is_any_due(session: Session, now: datetime) -> bool:
    """Whether one is to open or to end."""
    return session.execute(_ANY_DUE, {"now": now}).first() is not None


def lock_due(session: Session, now: datetime) -> list[Row]:
    """Those that are to open or to end, kept from changing until this transaction ends."""
    rows = session.execute(_DUE.with_for_update(), {"now": now}).mappings()
    return _with_orgs(session, [dict(row) for row in rows])


def page(session: Session, *, org: str | None, filters: Mapping[str, Any], before: str, limit: int) -> list[Row]:
    """Newest first. org: only what it may see, None: all. filters: kind, centre, state, for_org, since, until, where
    told; `live` as state means planned or open, since and until what overlaps that time.
    """
    table = reservations.c
    query = sa.select(reservations).order_by(table.id.desc())
    if org is not None:
        query = query.where((table.kind == "maintenance") | table.priority.is_not(None) | _is_of(org))
    if filters.get("for_org"):
        query = query.where(_is_of(str(filters["for_org"])))
    for name in ("kind", "centre"):
        if filters.get(name):
            query = query.where(table[name] == filters[name])
    if state := filters.get("state"):
        query = query.where(table.state.in_(LIVE) if state == "live" else table.state == state)
    if filters.get("since"):
        query = query.where(table.end_at > filters["since"])
    if filters.get("until"):
        query = query.where(table.start_at < filters["until"])
    if before:
        query = query.where(table.id < before)
    return _with_orgs(session, [dict(row) for row in session.execute(query.limit(limit)).mappings()])


def ended_work(session: Session, row: Row) -> list[Row]:
    """Segments of attempts at its centre that overlap the window, with the class of their job."""
    at = segments.c
    query = (
        sa.select(at.job, at.org, at.node, at.started_at, at.ended_at, at.wall_s, at.core_s, jobs.c.priority)
        .join(jobs, jobs.c.id == at.job)
        .where((at.centre == row["centre"]) & (at.ended_at > row["start_at"]) & (at.started_at < row["end_at"]))
    )
    return [dict(found) for found in session.execute(query).mappings()]


def running_work(session: Session, centre: str) -> list[Row]:
    """Attempts that run at a centre, with the class and specification of their job."""
    at = attempts.c
    query = (
        sa.select(at.job, at.org, at.node, at.running_at, jobs.c.priority, jobs.c.spec)
        .join(jobs, jobs.c.id == at.job)
        .where((at.centre == centre) & (at.state == "running"))
    )
    return [dict(found) for found in session.execute(query).mappings()]


def _is_of(org: str) -> sa.ColumnElement[bool]:
    named = sa.select(reservation_orgs.c.reservation).where(reservation_orgs.c.org == org)
    return reservations.c.id.in_(named)


def _with_orgs(session: Session, rows: list[Row]) -> list[Row]:
    if not rows:
        return rows
    query = sa.select(reservation_orgs).where(reservation_orgs.c.reservation.in_([row["id"] for row in rows]))
    found: dict[str, list[str]] = {}
    for item in session.execute(query):
        found.setdefault(item.reservation, []).append(item.org)
    return [row | {"orgs": sorted(found.get(row["id"], []))} for row in rows]
