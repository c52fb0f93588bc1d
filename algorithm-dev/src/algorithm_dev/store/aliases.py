"""Aliases and the ledger of their moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit.auth import Principal
from sqlalchemy.orm import Session

from algorithm_dev.store.tables import alias_history, aliases

Row = sa.Row[Any]


def alias_row(session: Session, component: str, alias: str) -> Row | None:
    """Where an alias points."""
    where = (aliases.c.component == component) & (aliases.c.alias == alias)
    return session.execute(sa.select(aliases).where(where)).first()


def aliases_of(session: Session, component: str) -> Sequence[Row]:
    """The aliases of a component by name."""
    return session.execute(sa.select(aliases).where(aliases.c.component == component).order_by(aliases.c.alias)).all()


def all_aliases(session: Session) -> dict[tuple[str, str], str]:
    """Version by (component, alias)."""
    query = sa.select(aliases.c.component, aliases.c.alias, aliases.c.version)
    return {(row.component, row.alias): row.version for row in session.execute(query)}


def point(
    session: Session, caller: Principal, component: str, alias: str, version: str | None, reason: str, now: datetime
) -> None:
    """Points an alias at a version (None: removes it) and writes the move to the ledger."""
    where = (aliases.c.component == component) & (aliases.c.alias == alias)
    known = alias_row(session, component, alias)
    if version is None:
        session.execute(sa.delete(aliases).where(where))
    elif known is None:
        session.execute(
            sa.insert(aliases).values(component=component, alias=alias, version=version, edit=1, moved_at=now)
        )
    else:
        session.execute(sa.update(aliases).where(where).values(version=version, edit=aliases.c.edit + 1, moved_at=now))
    session.execute(
        sa.insert(alias_history).values(
            component=component,
            alias=alias,
            from_version=known.version if known else None,
            to_version=version,
            reason=reason,
            moved_by=caller.subject,
            moved_by_name=caller.name,
            moved_by_org=caller.org,
            moved_at=now,
        )
    )


def history(session: Session, component: str, alias: str | None = None) -> Sequence[Row]:
    """The moves of a component's alias, or of all its aliases, newest first."""
    query = sa.select(alias_history).where(alias_history.c.component == component).order_by(alias_history.c.id.desc())
    return session.execute(query if alias is None else query.where(alias_history.c.alias == alias)).all()


def edits(session: Session) -> int:
    """A number that grows with every move."""
    return int(session.execute(sa.select(sa.func.coalesce(sa.func.max(alias_history.c.id), 0))).scalar_one())
