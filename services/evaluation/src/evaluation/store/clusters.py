"""Clusters, and what commits have touched of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.store.tables import clusters, recompute, reported_values

Row = sa.Row[Any]


def cluster_rows(session: Session) -> Sequence[Row]:
    """Every cluster by id."""
    return session.execute(sa.select(clusters).order_by(clusters.c.id)).all()


def cluster_row(session: Session, cluster: str) -> Row | None:
    """One cluster."""
    return session.execute(sa.select(clusters).where(clusters.c.id == cluster)).first()


def save_cluster(session: Session, values: dict[str, Any], now: datetime) -> bool:
    """Stores a cluster under the next version; True when it is new."""
    known = cluster_row(session, values["id"])
    if known is None:
        session.execute(sa.insert(clusters).values(**values, version=1, created_at=now, updated_at=now))
        return True
    changed = values | {"version": known.version + 1, "updated_at": now}
    session.execute(sa.update(clusters).where(clusters.c.id == values["id"]).values(changed))
    return False


def has_reports(session: Session, cluster: str) -> bool:
    """Whether somebody has reported values of a cluster."""
    query = sa.select(reported_values.c.id).where(reported_values.c.cluster == cluster).limit(1)
    return session.execute(query).first() is not None


def delete_cluster(session: Session, cluster: str) -> None:
    """Removes a cluster; what was computed for it goes with it."""
    session.execute(sa.delete(clusters).where(clusters.c.id == cluster))


def touch(session: Session, cluster: str, datasets: Sequence[str], now: datetime) -> None:
    """Remembers that data sets of a cluster have changed; later marks move `last`, the first one keeps `since`."""
    known = session.execute(
        sa.select(recompute.c.datasets).where(recompute.c.cluster == cluster).with_for_update()
    ).scalar()
    if known is None:
        values = {"cluster": cluster, "since": now, "last": now, "datasets": sorted(set(datasets))}
        session.execute(sa.insert(recompute).values(values))
        return
    merged = sorted({*known, *datasets})
    session.execute(sa.update(recompute).where(recompute.c.cluster == cluster).values(last=now, datasets=merged))


def touched(session: Session, quiet_before: datetime, waiting_before: datetime) -> Sequence[Row]:
    """Clusters whose data sets have been quiet since `quiet_before`, or that wait since `waiting_before`."""
    due = (recompute.c.last <= quiet_before) | (recompute.c.since <= waiting_before)
    return session.execute(sa.select(recompute).where(due).order_by(recompute.c.since).with_for_update()).all()


def untouch(session: Session, cluster: str) -> None:
    """Forgets the marks of a cluster."""
    session.execute(sa.delete(recompute).where(recompute.c.cluster == cluster))
