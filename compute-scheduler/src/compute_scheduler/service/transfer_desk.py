"""Transfers as people see them and stop them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from brain_kit import audit
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from compute_scheduler.domain import states
from compute_scheduler.domain.network import BYTES_MS_PER_GBIT_S
from compute_scheduler.domain.outcomes import Ending
from compute_scheduler.domain.transfers import ALIVE, rate_at
from compute_scheduler.service import data, transfers
from compute_scheduler.service.errors import StateConflict, TransferUnknown
from compute_scheduler.service.moves import Moves
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import jobs as job_store
from compute_scheduler.store import transfers as store

Row = dict[str, Any]
_TIMES = ("created_at", "started_at", "finish_at", "ended_at", "updated_at")


def list_transfers(database: Database, actor: Actor, filters: Mapping[str, str], after: str, limit: int) -> Row:
    """A page of transfers, newest first: all for operators, those of its jobs for an organisation.

    `jobs`: those that wait for it, of the jobs that the caller may see.
    """
    with database.reading() as session:
        rows = store.page(session, org=actor.scope, **filters, before=after, limit=limit + 1)
        waiting = store.users(session, [row["id"] for row in rows], actor.scope)
    items = [_shown(row, waiting[row["id"]], actor) for row in rows[:limit]]
    return {"items": items, "next": rows[limit - 1]["id"] if len(rows) > limit else None}


def get_transfer(database: Database, actor: Actor, transfer: str) -> Row:
    """One transfer. Raises TransferUnknown."""
    with database.reading() as session:
        row = store.one(session, transfer)
        is_theirs = actor.scope is None or store.is_of(session, transfer, actor.org)
        waiting = store.users(session, [transfer], actor.scope)
    if row is None or not is_theirs:
        raise TransferUnknown(f"没有传输 {transfer[:60]}")
    return _shown(row, waiting[transfer], actor)


def cancel_transfer(database: Database, actor: Actor, transfer: str, reason: str) -> Row:
    """Stops a transfer for an operator: its links are free at once, the jobs that wait for it fail and say why.

    Raises TransferUnknown, StateConflict when it has ended.
    """
    now = utc_now()
    with database.transaction() as session:
        waiting = store.users(session, [transfer])[transfer]
        jobs = job_store.lock_jobs(session, sorted({states.job_of(name) for name in waiting}))
        row = store.one(session, transfer, lock=True)
        if row is None:
            raise TransferUnknown(f"没有传输 {transfer[:60]}")
        if row["state"] not in ALIVE:
            raise StateConflict(f"传输已经结束（{row['state']}），不能取消", state=row["state"])
        transfers.settle(session, row, "cancelled", now, code="operator", reason=f"运营方取消：{reason}")
        moves = Moves(session, now)
        for name, attempt in job_store.attempts_by_id(session, waiting).items():
            if attempt["state"] in ("prepared", "submitting", "submitted"):
                words = f"数据集 {row['dataset']} 的传输 {transfer} 已由运营方取消：{reason}"
                moves.end(attempt, jobs[states.job_of(name)], Ending("failed", words))
        moves.write()
        detail = {"dataset": row["dataset"], "centre": row["centre"], "reason": reason, "attempts": len(waiting)}
        audit.record(session, actor.principal, action="transfer.cancel", object=transfer, detail=detail)
    return get_transfer(database, actor, transfer)


def _shown(row: Row, attempts: list[str], actor: Actor) -> Row:
    spans = data.spans_of(row)
    rate = rate_at(spans, data.ms_of(utc_now())) if row["state"] in ALIVE else None
    total = row["bytes"]
    return {
        "id": row["id"],
        **{name: row[name] for name in ("dataset", "version", "view", "centre", "source", "path", "state", "code")},
        "reason": row["reason"],
        "bytes": total,
        "done_bytes": row["done_bytes"],
        "sent_bytes": row["sent_bytes"],
        "percent": None if not total else round(100 * row["done_bytes"] / total, 1),
        "rate_gbit_s": None if rate is None else rate / BYTES_MS_PER_GBIT_S,
        "reserved": [
            {
                "from": _moment(span.start_ms),
                "until": _moment(span.end_ms),
                "gbit_s": span.rate / BYTES_MS_PER_GBIT_S,
            }
            for span in spans
        ],
        "sha256": row["sha256"] or None,
        "org": row["org"] if actor.may_see(row["org"]) else None,
        "jobs": sorted({states.job_of(name) for name in attempts}),
        **{name: rfc3339(row[name]) if row[name] else None for name in _TIMES},
    }


def _moment(at_ms: int) -> str:
    return rfc3339(datetime.fromtimestamp(at_ms / 1000, UTC))
