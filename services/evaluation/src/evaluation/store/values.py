"""Computed values, appended; the newest of a place is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.store.tables import computed_values, query_texts

Row = sa.Row[Any]
Key = tuple[str, str]


def append_values(session: Session, rows: Sequence[dict[str, Any]], texts: dict[str, str]) -> None:
    """Appends values; `texts` are the queries behind them by digest."""
    known = set(session.execute(sa.select(query_texts.c.digest).where(query_texts.c.digest.in_(list(texts)))).scalars())
    fresh = [{"digest": digest, "sql": sql} for digest, sql in texts.items() if digest not in known]
    if fresh:
        session.execute(sa.insert(query_texts), fresh)
    if rows:
        session.execute(sa.insert(computed_values), list(rows))


def written_by(session: Session, run: str) -> set[Key]:
    """(computation, period) of the values that a run has written already."""
    query = sa.select(computed_values.c.computation, computed_values.c.period).where(computed_values.c.run == run)
    return {(row.computation, row.period) for row in session.execute(query)}


def newest_values(
    session: Session, cluster: str, *, computation: str | None = None, periods: Sequence[str] | None = None
) -> Sequence[Row]:
    """The newest value of each (computation, period) of a cluster, by period."""
    table = computed_values
    newest = (
        sa.select(sa.func.max(table.c.seq))
        .where(table.c.cluster == cluster)
        .group_by(table.c.computation, table.c.period)
    )
    if computation:
        newest = newest.where(table.c.computation == computation)
    if periods is not None:
        newest = newest.where(table.c.period.in_(list(periods)))
    return session.execute(sa.select(table).where(table.c.seq.in_(newest)).order_by(table.c.period)).all()


def value_history(session: Session, cluster: str, computation: str, period: str, limit: int) -> Sequence[Row]:
    """Every value ever computed for a place, newest first."""
    table = computed_values
    query = sa.select(table).where(
        table.c.cluster == cluster, table.c.computation == computation, table.c.period == period
    )
    return session.execute(query.order_by(table.c.seq.desc()).limit(limit)).all()


def query_text(session: Session, digest: str) -> str | None:
    """The text of a query."""
    return session.execute(sa.select(query_texts.c.sql).where(query_texts.c.digest == digest)).scalar()


def known_periods(session: Session, cluster: str) -> list[str]:
    """Periods of which a cluster has computed values, oldest first."""
    query = sa.select(computed_values.c.period).where(computed_values.c.cluster == cluster)
    return sorted(set(session.execute(query.distinct()).scalars()))
