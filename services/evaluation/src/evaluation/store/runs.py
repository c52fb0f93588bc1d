"""Runs: computations of a cluster's values, and the worker that holds each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.store.tables import runs

Row = sa.Row[Any]
RUNNING = ("queued", "running")


def add_run(session: Session, values: dict[str, Any]) -> None:
    """Stores a queued run."""
    session.execute(sa.insert(runs).values(values))


def run_row(session: Session, run: str) -> Row | None:
    """One run."""
    return session.execute(sa.select(runs).where(runs.c.id == run)).first()


def run_rows(
    session: Session, *, cluster: str | None, state: str | None, before: str | None, limit: int
) -> Sequence[Row]:
    """Runs, newest first."""
    query = sa.select(runs).order_by(runs.c.id.desc()).limit(limit)
    if cluster:
        query = query.where(runs.c.cluster == cluster)
    if state:
        query = query.where(runs.c.state == state)
    if before:
        query = query.where(runs.c.id < before)
    return session.execute(query).all()


def queued_like(session: Session, cluster: str, request: dict[str, Any]) -> Row | None:
    """A run of the same that has not started: it will read what is there when it starts."""
    query = sa.select(runs).where(runs.c.cluster == cluster, runs.c.state == "queued")
    return next((row for row in session.execute(query) if row.request == request), None)


def claim(session: Session, now: datetime, lease_until: datetime) -> Row | None:
    """Takes a run that waits or whose holder has gone, what people asked for first; its epoch counts up."""
    free = (runs.c.state == "queued") | ((runs.c.state == "running") & (runs.c.lease_until < now))
    found = session.execute(
        sa.select(runs)
        .where(free)
        .order_by(runs.c.trigger.desc(), runs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if found is None:
        return None
    taken = {
        "state": "running",
        "reason": "正在计算" if found.epoch == 0 else "上一个进程中断，接着计算",
        "epoch": found.epoch + 1,
        "lease_until": lease_until,
        "started_at": found.started_at or now,
    }
    session.execute(sa.update(runs).where(runs.c.id == found.id).values(taken))
    return run_row(session, found.id)


def somebody_waits(session: Session) -> bool:
    """Whether a run that a person asked for waits."""
    query = sa.select(runs.c.id).where(runs.c.state == "queued", runs.c.trigger == "request").limit(1)
    return session.execute(query).first() is not None


def hold(session: Session, run: str, epoch: int, values: dict[str, Any]) -> Row | None:
    """Changes a run that is still held under this epoch; None when it is not, or was ended."""
    where = (runs.c.id == run) & (runs.c.epoch == epoch) & (runs.c.state == "running")
    changed = session.execute(sa.update(runs).where(where).values(values).returning(runs.c.id)).first()
    return None if changed is None else run_row(session, run)


def request_cancel(session: Session, run: str, now: datetime) -> Row | None:
    """Ends a queued run at once, asks a running one to end; None when it has ended already."""
    values = {"cancel_requested": True}
    queued = (runs.c.id == run) & (runs.c.state == "queued")
    ended = values | {"state": "cancelled", "reason": "开始前已取消", "ended_at": now}
    if session.execute(sa.update(runs).where(queued).values(ended).returning(runs.c.id)).first():
        return run_row(session, run)
    running = (runs.c.id == run) & (runs.c.state == "running")
    if session.execute(sa.update(runs).where(running).values(values).returning(runs.c.id)).first():
        return run_row(session, run)
    return None
