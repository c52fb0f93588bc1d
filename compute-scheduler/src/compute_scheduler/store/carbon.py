"""Reading and adding hourly series of carbon intensity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.ledger_tables import carbon_series

Row = dict[str, Any]


def insert(session: Session, row: Row) -> None:
    """Adds a series."""
    session.execute(sa.insert(carbon_series).values(row))


def of_centre(session: Session, centre: str) -> list[Row]:
    """The series of a centre, the newest first; ids ascend with time."""
    query = sa.select(carbon_series).where(carbon_series.c.centre == centre).order_by(carbon_series.c.id.desc())
    return [dict(row) for row in session.execute(query).mappings()]


def newest(session: Session) -> dict[str, str]:
    """Id of the newest series by centre."""
    query = sa.select(carbon_series.c.centre, sa.func.max(carbon_series.c.id)).group_by(carbon_series.c.centre)
    return {row[0]: row[1] for row in session.execute(query)}


def heads(session: Session) -> list[Row]:
    """Every series without its values, the oldest first: id, centre, created_at."""
    columns = (carbon_series.c.id, carbon_series.c.centre, carbon_series.c.created_at)
    return [dict(row) for row in session.execute(sa.select(*columns).order_by(carbon_series.c.id)).mappings()]


def by_id(session: Session, series_ids: Iterable[str]) -> list[Row]:
    """Series by id; no ids, no query."""
    wanted = list(series_ids)
    if not wanted:
        return []
    query = sa.select(carbon_series).where(carbon_series.c.id.in_(wanted))
    return [dict(row) for row in session.execute(query).mappings()]
