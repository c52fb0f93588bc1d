"""Reading and writing simulations, and the jobs of the past that they replay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.simulation_tables import simulations
from compute_scheduler.store.tables import jobs, segments

Row = dict[str, Any]


def insert(session: Session, row: Row) -> None:
    """Adds a simulation."""
    session.execute(sa.insert(simulations).values(row))


def get(session: Session, simulation: str, *, lock: bool = False) -> Row | None:
    """A simulation."""
    query = sa.select(simulations).where(simulations.c.id == simulation)
    row = session.execute(query.with_for_update() if lock else query).mappings().first()
    return dict(row) if row else None


def update(session: Session, simulation: str, **values: Any) -> None:
    """Changes columns."""
    session.execute(sa.update(simulations).where(simulations.c.id == simulation).values(values))


def page(session: Session, before: str, limit: int) -> list[Row]:
    """Simulations, the newest first."""
    query = sa.select(simulations).order_by(simulations.c.id.desc()).limit(limit)
    if before:
        query = query.where(simulations.c.id < before)
    return [dict(row) for row in session.execute(query).mappings()]


def in_state(session: Session, state: str) -> list[Row]:
    """Simulations in a state, the oldest first."""
    query = sa.select(simulations).where(simulations.c.state == state).order_by(simulations.c.id)
    return [dict(row) for row in session.execute(query).mappings()]


def remove(session: Session, simulation: str) -> None:
    """Forgets a simulation."""
    session.execute(sa.delete(simulations).where(simulations.c.id == simulation))


def past_runs(session: Session, since: datetime, until: datetime) -> Iterator[Row]:
    """Accounted attempts of jobs submitted in a time: job, org, centre, times, wall_s, core_s, spec."""
    query = (
        sa.select(
            segments.c.job,
            segments.c.org,
            segments.c.centre,
            segments.c.started_at,
            segments.c.wall_s,
            segments.c.core_s,
            jobs.c.submitted_at,
            jobs.c.spec,
        )
        .join(jobs, jobs.c.id == segments.c.job)
        .where((jobs.c.submitted_at >= since) & (jobs.c.submitted_at < until) & (segments.c.wall_s > 0))
        .order_by(segments.c.id)
    )
    for row in session.execute(query.execution_options(yield_per=2000)).mappings():
        yield dict(row)
