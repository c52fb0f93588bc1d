"""Runs and their progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from algorithm_dev.domain.states import FINAL_RUNS
from algorithm_dev.store.tables import runs

Row = sa.Row[Any]


def add(session: Session, values: dict[str, Any]) -> None:
    """A new run."""
    session.execute(sa.insert(runs).values(values))


def by_id(session: Session, run_id: str, *, lock: bool = False) -> Row | None:
    """A run."""
    query = sa.select(runs).where(runs.c.id == run_id)
    return session.execute(query.with_for_update() if lock else query).first()


def by_key(session: Session, org: str, key: str) -> Row | None:
    """The run that an organisation made under an idempotency key."""
    return session.execute(sa.select(runs).where(runs.c.org == org, runs.c.idempotency_key == key)).first()


def listed(
    session: Session, *, org: str | None, state: str | None, component: str | None, after: str | None, limit: int
) -> Sequence[Row]:
    """Runs, newest first."""
    query = sa.select(runs).order_by(runs.c.id.desc()).limit(limit)
    for column, value in ((runs.c.org, org), (runs.c.state, state), (runs.c.component, component)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(runs.c.id < after)
    return session.execute(query).all()


def succeeded_into(session: Session, org: str, into: str, before: str) -> Sequence[Row]:
    """Runs of an organisation that ended well, made before another one, whose results went into a data set."""
    query = sa.select(runs).where(runs.c.org == org, runs.c.state == "succeeded", runs.c.id < before)
    return session.execute(query.where(runs.c.request["into"].as_string() == into)).all()


def claim(session: Session, now: datetime, until: datetime) -> Row | None:
    """The run that has waited longest for its next step, leased until a time; None when none waits."""
    waiting = (
        sa.select(runs)
        .where(runs.c.state.not_in(FINAL_RUNS), runs.c.wake_at <= now)
        .order_by(runs.c.wake_at, runs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.execute(waiting).first()
    if row is not None:
        session.execute(sa.update(runs).where(runs.c.id == row.id).values(wake_at=until))
    return row


def change(session: Session, run_id: str, state: str, values: dict[str, Any]) -> bool:
    """Changes a run that is still in a state; False when it is not any more."""
    where = (runs.c.id == run_id) & (runs.c.state == state)
    changed = session.execute(sa.update(runs).where(where).values(values).returning(runs.c.id)).first()
    return changed is not None
