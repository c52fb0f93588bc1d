"""Reservations and maintenance windows as people make, see and cancel them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit import audit
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.clients import Owners
from compute_scheduler.domain.news import reservation_changed
from compute_scheduler.domain.reservation_states import LIVE
from compute_scheduler.service import reserved_work
from compute_scheduler.service.errors import IdempotencyKeyReused
from compute_scheduler.service.reservation_choice import Chosen, choose
from compute_scheduler.service.reservation_errors import ReservationEnded, ReservationUnknown
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import reservations as store

Row = dict[str, Any]
_SAME = ("kind", "centre", "title", "purpose", "priority", "asked", "running")


def make(
    database: Database, settings: Settings, actor: Actor, owners: Owners, asked: tuple[Row, str | None]
) -> tuple[Row, bool]:
    """Keeps capacity for others, or from all; the row and whether an earlier request with the key had made it.

    asked: the body (kind, centre, title, purpose, start_at, end_at, orgs, priority, resources, count, nodes, running)
    and the idempotency key. Raises ReservationInvalid, ReservationOverlaps, CentreUnknown, OwnerUnknown,
    IdempotencyKeyReused.
    """
    body, key = _whole_seconds(asked[0]), asked[1]
    if (earlier := _earlier(database, body, key)) is not None:
        return shown(earlier, actor), True
    check_orgs(owners, body)
    now = utc_now()
    try:
        with database.transaction() as session:
            chosen = choose(session, settings, body, now, lock=True)
            row = _row(actor, body, key, chosen, now)
            store.insert(session, row, body["orgs"])
            row |= {"orgs": sorted(set(body["orgs"]))}
            emit(session, reservation_changed(row))
            detail = {name: row[name] for name in ("centre", "title", "orgs", "priority", "running")}
            detail |= {"start_at": rfc3339(row["start_at"]), "end_at": rfc3339(row["end_at"])}
            audit.record(session, actor.principal, action=f"{row['kind']}.add", object=row["id"], detail=detail)
    except sa.exc.IntegrityError:
        if (earlier := _earlier(database, body, key)) is None:
            raise
        return shown(earlier, actor), True
    return shown(row, actor), False


def preview(database: Database, settings: Settings, owners: Owners, body: Row) -> Row:
    """What making it would keep, and whom it would touch: nothing is kept. Raises what `make` raises.

    running: jobs on its nodes whose time limits reach into it. waiting: jobs that would start now, or sooner, without
    it.
    """
    body = _whole_seconds(body)
    check_orgs(owners, body)
    now = utc_now()
    with database.reading() as session:
        chosen = choose(session, settings, body, now)
        return {
            "nodes": _nodes(chosen.nodes),
            "cores": chosen.cores,
            "running": reserved_work.reaching_into(session, chosen.window),
            "waiting": reserved_work.held_up(session, settings, chosen.window, now),
            "as_of": rfc3339(now),
        }


def check_orgs(owners: Owners, body: Row) -> None:
    """Raises OwnerUnknown for the first organisation that is not registered."""
    for number, org in enumerate(body["orgs"]):
        owners.check(org, f"orgs.{number}")


def list_all(database: Database, actor: Actor, filters: Mapping[str, Any], *, after: str, limit: int) -> Row:
    """A page, newest first: all for operators, else maintenance and those that are for the organisation's jobs."""
    with database.reading() as session:
        rows = store.page(session, org=actor.scope, filters=filters, before=after, limit=limit + 1)
    items = [shown(row, actor) for row in rows[:limit]]
    return {"items": items, "next": rows[limit - 1]["id"] if len(rows) > limit else None}


def get(database: Database, actor: Actor, reservation: str) -> Row:
    """One, with the core hours that it has kept and those that went unused so far. Raises ReservationUnknown."""
    now = utc_now()
    with database.reading() as session:
        row = visible(session, actor, reservation)
        return shown(row, actor) | {"use": reserved_work.use_of(session, row, now)}


def cancel(database: Database, actor: Actor, reservation: str, reason: str) -> Row:
    """Gives what it keeps back at once, before it opens or while it is open; jobs that run go on.

    Raises ReservationUnknown, ReservationEnded.
    """
    now = utc_now()
    with database.transaction() as session:
        row = store.one(session, reservation, lock=True)
        if row is None:
            raise ReservationUnknown(f"没有预留或维护窗口 {reservation[:60]}")
        if row["state"] not in LIVE:
            words = "已结束" if row["state"] == "over" else "已取消"
            raise ReservationEnded(f"{reservation} {words}，不能取消", state=row["state"])
        before = row["state"]
        row |= {"state": "cancelled", "reason": reason, "ended_at": now}
        store.save(session, reservation, {name: row[name] for name in ("state", "reason", "ended_at")})
        emit(session, reservation_changed(row))
        detail = {"centre": row["centre"], "reason": reason, "before": before}
        audit.record(session, actor.principal, action=f"{row['kind']}.cancel", object=reservation, detail=detail)
    return shown(row, actor)


def visible(session: Session, actor: Actor, reservation: str) -> Row:
    """The row if the caller may know of it. Raises ReservationUnknown."""
    row = store.one(session, reservation)
    if row is not None and (
        actor.scope is None or row["kind"] == "maintenance" or row["priority"] is not None or actor.org in row["orgs"]
    ):
        return row
    raise ReservationUnknown(f"没有预留或维护窗口 {reservation[:60]}")


def shown(row: Row, actor: Actor) -> Row:
    """A row as the API gives it; of other organisations that share it only operators hear."""
    is_all = actor.scope is None
    return {
        **{name: row[name] for name in ("id", "kind", "centre", "title", "purpose", "state", "priority", "running")},
        "orgs": [org for org in row["orgs"] if is_all or org == actor.org],
        "asked": row["asked"],
        "nodes": _nodes(row["nodes"]),
        "cores": _cores(row["nodes"]),
        "reason": row["reason"],
        "created_by": row["created_by"] if is_all else None,
        **{
            name: rfc3339(row[name]) if row[name] else None
            for name in ("start_at", "end_at", "began_at", "ended_at", "created_at")
        },
    }


def _cores(nodes: list[list[Any]]) -> float | None:
    """The cores of all parts; None where whole nodes are kept, whose cores may change."""
    parts = [part for _, part in nodes if part is not None]
    return sum(part["cores"] for part in parts) if parts and len(parts) == len(nodes) else None


def _whole_seconds(body: Row) -> Row:
    """Windows begin and end on whole seconds, so that what is shown is what is kept and the next one can touch it."""
    return body | {name: body[name].replace(microsecond=0) for name in ("start_at", "end_at")}


def _nodes(nodes: list[list[Any]]) -> list[Row]:
    return [{"node": node, "kept": part} for node, part in nodes]


def _row(actor: Actor, body: Row, key: str | None, chosen: Chosen, now: datetime) -> Row:
    return {
        "id": new_id("rsv"),
        **{name: body[name] for name in ("kind", "centre", "title", "purpose", "start_at", "end_at", "priority")},
        "asked": chosen.asked,
        "nodes": chosen.nodes,
        "running": body["running"],
        "state": "planned",
        "reason": "",
        "began_at": None,
        "ended_at": None,
        "created_by": actor.principal.subject,
        "created_at": now,
        "idempotency_key": key,
    }


def _earlier(database: Database, body: Row, key: str | None) -> Row | None:
    if key is None:
        return None
    with database.reading() as session:
        row = store.by_idempotency(session, key)
    if row is None:
        return None
    asked = None if body["resources"] is None else {"resources": body["resources"], "count": body["count"]}
    same = all(row[name] == (body | {"asked": asked})[name] for name in _SAME)
    same &= (row["start_at"], row["end_at"]) == (body["start_at"], body["end_at"])
    if not (same and row["orgs"] == sorted(set(body["orgs"]))):
        raise IdempotencyKeyReused("这个 Idempotency-Key 已用于另一份预留；请换一个键，或重发原来的内容")
    return row
