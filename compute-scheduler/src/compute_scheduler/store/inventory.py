"""Reading and writing the inventory of centres and the links between them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.inventory_tables import inventory, links

Row = dict[str, Any]


def all_inventory(session: Session) -> dict[str, Row]:
    """The inventory by centre."""
    return {row["centre"]: dict(row) for row in session.execute(sa.select(inventory)).mappings()}


def save_inventory(session: Session, row: Row) -> None:
    """Sets a centre's inventory."""
    values = {name: value for name, value in row.items() if name != "centre"}
    known = session.execute(sa.update(inventory).where(inventory.c.centre == row["centre"]).values(values))
    if not known.rowcount:  # type: ignore[attr-defined]
        session.execute(sa.insert(inventory).values(row))


def all_links(session: Session) -> list[Row]:
    """Every link by its two ends."""
    query = sa.select(links).order_by(links.c.one, links.c.other)
    return [dict(row) for row in session.execute(query).mappings()]


def save_link(session: Session, row: Row) -> None:
    """Sets a link."""
    ends = (links.c.one == row["one"]) & (links.c.other == row["other"])
    values = {name: value for name, value in row.items() if name not in ("one", "other")}
    known = session.execute(sa.update(links).where(ends).values(values))
    if not known.rowcount:  # type: ignore[attr-defined]
        session.execute(sa.insert(links).values(row))


def remove_link(session: Session, one: str, other: str) -> bool:
    """Forgets a link; False when there is none."""
    removed = session.execute(sa.delete(links).where((links.c.one == one) & (links.c.other == other)))
    return bool(removed.rowcount)  # type: ignore[attr-defined]
