"""What jobs were expected to cost where their attempts went, and their rows by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import attempts, jobs

Row = dict[str, Any]


def jobs_by_id(session: Session, ids: Sequence[str]) -> list[Row]:
    """Jobs by id; no ids, no query."""
    if not ids:
        return []
    return [dict(row) for row in session.execute(sa.select(jobs).where(jobs.c.id.in_(ids))).mappings()]


def newest_sites(session: Session, ids: Sequence[str]) -> dict[str, Row]:
    """By job, where its newest attempt went and what it was to cost there; absent where nothing was told."""
    if not ids:
        return {}
    query = (
        sa.select(attempts.c.job, attempts.c.centre, attempts.c.site)
        .where(attempts.c.job.in_(ids) & (attempts.c.rank == 0))
        .order_by(attempts.c.epoch)
    )
    newest = {row.job: row for row in session.execute(query)}
    return {job_id: {"centre": row.centre, **row.site} for job_id, row in newest.items() if row.site}
