"""The history of queries, one row a query and credential."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit.database import UtcDateTime
from sqlalchemy.orm import Session

from data_hub.store.tables import datasets

metadata = sa.MetaData()

query_history = sa.Table(
    "query_history",
    metadata,
    sa.Column("subject", sa.String(80), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("org", sa.String(32), nullable=False),
    sa.Column("sql", sa.Text, nullable=False),
    sa.Column("datasets", sa.JSON, nullable=False),
    sa.Column("format", sa.String(10), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("problem", sa.String(64)),
    sa.Column("rows", sa.BigInteger),
    sa.Column("elapsed_ms", sa.Float, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Index("query_history_recent", "subject", "started_at", "id"),
    sa.Index("query_history_age", "started_at"),
)


def get_version(session: Session, dataset: str) -> str | None:
    """The version of a data set's contract; None when it is not registered."""
    return session.execute(sa.select(datasets.c.version).where(datasets.c.name == dataset)).scalar()


def add_queries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store finished queries; one that is already there, after a repeated write, stays as it is."""
    keys = sa.tuple_(query_history.c.subject, query_history.c.id)
    wanted = [(row["subject"], row["id"]) for row in rows]
    known = {tuple(row) for row in session.execute(sa.select(keys.clauses[0], keys.clauses[1]).where(keys.in_(wanted)))}
    fresh = [row for row in rows if (row["subject"], row["id"]) not in known]
    if fresh:
        session.execute(sa.insert(query_history), fresh)


def is_known(session: Session, subject: str, query_id: str) -> bool:
    """Whether the credential has used this id."""
    where = (query_history.c.subject == subject) & (query_history.c.id == query_id)
    return session.execute(sa.select(query_history.c.id).where(where)).first() is not None


def recent_queries(
    session: Session, subject: str, limit: int, before: tuple[datetime, str] | None = None
) -> list[dict[str, Any]]:
    """The newest queries of a credential, newest first; those before (started_at, id) when given."""
    table = query_history
    chosen = sa.select(table).where(table.c.subject == subject)
    if before is not None:
        at, query_id = before
        chosen = chosen.where((table.c.started_at < at) | ((table.c.started_at == at) & (table.c.id < query_id)))
    chosen = chosen.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit)
    return [dict(row) for row in session.execute(chosen).mappings()]


def slowest_queries(session: Session, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The queries of everybody since a time that took longest, the slowest first."""
    names = ("id", "org", "subject", "sql", "state", "problem", "rows", "elapsed_ms", "started_at")
    chosen = (
        sa.select(*(query_history.c[name] for name in names))
        .where(query_history.c.started_at >= since)
        .order_by(query_history.c.elapsed_ms.desc(), query_history.c.id)
        .limit(limit)
    )
    return [dict(row) for row in session.execute(chosen).mappings()]


def forget_queries(session: Session, before: datetime) -> int:
    """Remove what is older; returns how many."""
    gone = session.execute(sa.delete(query_history).where(query_history.c.started_at < before).returning(sa.literal(1)))
    return len(gone.all())
