"""Versions of the policy: reading and adding rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import leases, policy_versions

Row = dict[str, Any]
# The row that posting, closing and prices lock too: a change of policy is as rare as theirs.
LOCK = "ledger"
_NEWEST = sa.select(policy_versions).order_by(policy_versions.c.id.desc()).limit(1)


def newest(session: Session) -> Row | None:
    """The version in force, None when there never was one; ids ascend with time."""
    row = session.execute(_NEWEST).mappings().first()
    return dict(row) if row else None


def lock(session: Session) -> None:
    """Makes this transaction the only one that changes the policy."""
    session.execute(sa.select(leases.c.token).where(leases.c.name == LOCK).with_for_update())


def insert(session: Session, row: Row) -> None:
    """Adds a version, which is in force from its commit on."""
    session.execute(sa.insert(policy_versions).values(row))


def versions(session: Session, limit: int) -> list[Row]:
    """Versions, the newest first."""
    query = sa.select(policy_versions).order_by(policy_versions.c.id.desc()).limit(limit)
    return [dict(row) for row in session.execute(query).mappings()]
