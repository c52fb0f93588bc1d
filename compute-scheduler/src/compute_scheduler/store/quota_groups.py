"""Groups of tenants: reading and writing rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import quota_groups, tenants

Row = dict[str, Any]
_GROUPS = sa.select(quota_groups).order_by(quota_groups.c.id)


def all_groups(session: Session) -> list[Row]:
    """Every group by id."""
    return [dict(row) for row in session.execute(_GROUPS).mappings()]


def lock_all(session: Session) -> list[Row]:
    """Every group, all of them this transaction's, so that no two changes make a circle together."""
    return [dict(row) for row in session.execute(_GROUPS.with_for_update()).mappings()]


def save(session: Session, row: Row) -> None:
    """Makes or replaces a group."""
    values = {name: value for name, value in row.items() if name != "id"}
    changed = session.connection().execute(sa.update(quota_groups).where(quota_groups.c.id == row["id"]), values)
    if not changed.rowcount:
        session.execute(sa.insert(quota_groups).values(row))


def delete(session: Session, group: str) -> None:
    """Removes a group."""
    session.execute(sa.delete(quota_groups).where(quota_groups.c.id == group))


def members(session: Session, group: str) -> list[str]:
    """Tenants and groups that are directly in a group."""
    orgs = session.execute(sa.select(tenants.c.org).where(tenants.c.quota_group == group)).scalars()
    groups = session.execute(sa.select(quota_groups.c.id).where(quota_groups.c.parent == group)).scalars()
    return [*orgs, *groups]
