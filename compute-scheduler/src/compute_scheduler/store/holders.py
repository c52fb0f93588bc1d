"""Attempts that hold a node: what the plan and the centres' pages read of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from brain_kit.database.bulk import rows_of
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import attempts, jobs

Row = dict[str, Any]


def holding(session: Session) -> list[tuple[Row, Row]]:
    """Attempts that hold a node, each with its job's specification."""
    query = (
        sa.select(
            attempts.c.job,
            attempts.c.org,
            attempts.c.node,
            attempts.c.prepared_at,
            attempts.c.running_at,
            attempts.c.accelerators,
            jobs.c.spec,
        )
        .join(jobs, jobs.c.id == attempts.c.job)
        .where(attempts.c.state != "ended")
        .order_by(attempts.c.job, attempts.c.rank)
    )
    return [(row, row["spec"]) for row in rows_of(session.execute(query))]


class Holder(NamedTuple):
    """An attempt that holds a node. running_at: None before it was granted. accelerators: what it holds of them."""

    job: str
    org: str
    node: str
    prepared_at: datetime
    running_at: datetime | None
    cancel: bool
    accelerators: Row | None


_HOLDERS = sa.select(*[attempts.c[name] for name in Holder._fields]).where(
    attempts.c.state != sa.literal_column("'ended'")
)


def holders(session: Session) -> list[Holder]:
    """Attempts that hold a node."""
    return [Holder(*row) for row in session.execute(_HOLDERS).all()]


_DEVICES = sa.select(attempts.c.node, attempts.c.accelerators).where(
    (attempts.c.state != sa.literal_column("'ended'")) & attempts.c.accelerators.is_not(None)
)


def devices_held(session: Session) -> list[tuple[str, Row]]:
    """What living attempts hold of accelerators, by node."""
    return [(row.node, row.accelerators) for row in session.execute(_DEVICES)]
