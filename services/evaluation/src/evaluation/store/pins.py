"""Versions of data sets that are to stay readable, with their pins in the data hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.store.runs import RUNNING
from evaluation.store.tables import computed_values, runs, version_pins

Row = sa.Row[Any]
Version = tuple[str, str]
table = version_pins


def ask(session: Session, wanted: Iterable[Version], ids: Iterable[str], now: datetime) -> list[Row]:
    """Notes that versions are wanted from now on; those that have no pin yet, as they are stored."""
    missing = []
    for (dataset, version), fresh in zip(wanted, ids, strict=False):
        where = (table.c.dataset == dataset) & (table.c.version == version)
        found = session.execute(sa.update(table).where(where).values(asked_at=now).returning(*table.c)).first()
        if found is None:
            made = {"dataset": dataset, "version": version, "id": fresh, "pin": None, "asked_at": now}
            found = session.execute(sa.insert(table).values(made).returning(*table.c)).one()
        if found.pin is None:
            missing.append(found)
    return missing


def keep_pin(session: Session, row_id: str, pin: str) -> None:
    """Stores the pin that the data hub has made."""
    session.execute(sa.update(table).where(table.c.id == row_id).values(pin=pin))


def all_pins(session: Session) -> Sequence[Row]:
    """Everything that is kept."""
    return session.execute(sa.select(table)).all()


def drop(session: Session, row: Row) -> bool:
    """Forgets one, unless it was asked for again since it was read."""
    where = (table.c.id == row.id) & (table.c.asked_at == row.asked_at)
    return session.execute(sa.delete(table).where(where).returning(table.c.id)).first() is not None


def needed(session: Session) -> set[Version]:
    """Versions behind the newest value of each place, and those of runs that are under way."""
    values = computed_values
    newest = sa.select(sa.func.max(values.c.seq)).group_by(values.c.cluster, values.c.computation, values.c.period)
    found = set()
    for (sources,) in session.execute(sa.select(values.c.sources).where(values.c.seq.in_(newest))):
        found |= {(item["dataset"], item["version"]) for item in sources if item["version"]}
    for (versions,) in session.execute(sa.select(runs.c.versions).where(runs.c.state.in_(RUNNING))):
        items = [item for item in (versions or {}).values() if item]
        found |= {(item["dataset"], item["version"]) for item in items if item["version"]}
    return found
