"""Reading and writing the data network: windows of links, replicas, data rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.network_tables import data_rules, link_windows, replicas

Row = dict[str, Any]
REPLICA_KEY = ("dataset", "version", "centre", "view")


def windows(session: Session, after: datetime) -> list[Row]:
    """Windows that end after a moment, by their start."""
    query = sa.select(link_windows).where(link_windows.c.end_at > after)
    return _rows(session, query.order_by(link_windows.c.start_at, link_windows.c.id))


def insert_window(session: Session, row: Row) -> None:
    """Adds a window."""
    session.execute(sa.insert(link_windows).values(row))


def remove_window(session: Session, one: str, other: str, window: str) -> bool:
    """Takes a window back; False when there is none of that id on the link."""
    of_link = (link_windows.c.one == one) & (link_windows.c.other == other)
    return bool(session.execute(sa.delete(link_windows).where(of_link & (link_windows.c.id == window))).rowcount)  # type: ignore[attr-defined]


def remove_windows(session: Session, one: str, other: str) -> None:
    """Takes back all windows of a link."""
    session.execute(sa.delete(link_windows).where((link_windows.c.one == one) & (link_windows.c.other == other)))


def replicas_of(session: Session, datasets: Iterable[str]) -> list[Row]:
    """Replicas of data sets that may be used."""
    wanted = replicas.c.dataset.in_(sorted(set(datasets))) & (replicas.c.state == "ready")
    return _rows(session, sa.select(replicas).where(wanted))


def page_of_replicas(session: Session, *, dataset: str, centre: str, after: tuple[str, ...], limit: int) -> list[Row]:
    """Replicas by their key. dataset, centre: '' for all. after: the key of the last one seen."""
    order = [replicas.c[name] for name in REPLICA_KEY]
    key = sa.tuple_(*order)
    query = sa.select(replicas).order_by(*order).limit(limit)
    if dataset:
        query = query.where(replicas.c.dataset == dataset)
    if centre:
        query = query.where(replicas.c.centre == centre)
    if after:
        query = query.where(key > sa.tuple_(*[sa.literal(part) for part in after]))
    return _rows(session, query)


def save_replica(session: Session, row: Row) -> None:
    """Sets a replica."""
    values = {name: value for name, value in row.items() if name not in REPLICA_KEY}
    if not session.execute(sa.update(replicas).where(_is(row)).values(values)).rowcount:  # type: ignore[attr-defined]
        session.execute(sa.insert(replicas).values(row))


def replica(session: Session, key: Row) -> Row | None:
    """The replica of a key, whatever its state."""
    found = _rows(session, sa.select(replicas).where(_is(key)))
    return found[0] if found else None


def use_replica(session: Session, key: Row, at: datetime) -> bool:
    """Notes that a copy which may be used is given to a job; False when there is none."""
    wanted = _is(key) & (replicas.c.state == "ready")
    return bool(session.execute(sa.update(replicas).where(wanted).values(used_at=at)).rowcount)  # type: ignore[attr-defined]


def replicas_at(session: Session, centre: str, updated_by: str) -> list[Row]:
    """Replicas at a centre that were last set by somebody."""
    at = (replicas.c.centre == centre) & (replicas.c.updated_by == updated_by)
    return _rows(session, sa.select(replicas).where(at))


def remove_replica(session: Session, row: Row) -> bool:
    """Forgets a replica; False when there is none. row: its key."""
    return bool(session.execute(sa.delete(replicas).where(_is(row))).rowcount)  # type: ignore[attr-defined]


def rules(session: Session, datasets: Iterable[str] | None = None) -> list[Row]:
    """Data rules by data set, of these data sets or all."""
    query = sa.select(data_rules).order_by(data_rules.c.dataset)
    if datasets is not None:
        query = query.where(data_rules.c.dataset.in_(sorted(set(datasets))))
    return _rows(session, query)


def save_rule(session: Session, row: Row) -> None:
    """Sets a data set's rule."""
    values = {name: value for name, value in row.items() if name != "dataset"}
    changed = session.execute(sa.update(data_rules).where(data_rules.c.dataset == row["dataset"]).values(values))
    if not changed.rowcount:  # type: ignore[attr-defined]
        session.execute(sa.insert(data_rules).values(row))


def remove_rule(session: Session, dataset: str) -> bool:
    """Takes a rule back; False when there is none."""
    return bool(session.execute(sa.delete(data_rules).where(data_rules.c.dataset == dataset)).rowcount)  # type: ignore[attr-defined]


def _is(row: Row) -> sa.ColumnElement[bool]:
    return sa.and_(*[replicas.c[name] == row[name] for name in REPLICA_KEY])


def _rows(session: Session, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in session.execute(query).mappings()]
