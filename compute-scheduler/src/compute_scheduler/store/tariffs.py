"""Reading and adding electricity tariffs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.inventory_tables import inventory
from compute_scheduler.store.ledger_tables import tariffs

Row = dict[str, Any]


def insert(session: Session, row: Row) -> None:
    """Adds a version. Raises IntegrityError when the scope has one from that moment."""
    session.execute(sa.insert(tariffs).values(row))


def heads(session: Session) -> list[Row]:
    """Every version without its periods, the oldest first: id, scope, valid_from."""
    columns = (tariffs.c.id, tariffs.c.scope, tariffs.c.valid_from)
    return [dict(row) for row in session.execute(sa.select(*columns).order_by(tariffs.c.valid_from)).mappings()]


def by_id(session: Session, ids: Iterable[str]) -> list[Row]:
    """Versions by id; no ids, no query."""
    wanted = sorted(ids)
    if not wanted:
        return []
    return [dict(row) for row in session.execute(sa.select(tariffs).where(tariffs.c.id.in_(wanted))).mappings()]


def rows(session: Session, scopes: Iterable[str] | None = None) -> list[Row]:
    """Versions of scopes, None: of all, the newest first."""
    query = sa.select(tariffs).order_by(tariffs.c.valid_from.desc(), tariffs.c.scope)
    if scopes is not None:
        query = query.where(tariffs.c.scope.in_(sorted(scopes)))
    return [dict(row) for row in session.execute(query).mappings()]


def regions(session: Session) -> dict[str, str]:
    """The region by centre, of those that state it."""
    return {row[0]: row[1] for row in session.execute(sa.select(inventory.c.centre, inventory.c.region))}
