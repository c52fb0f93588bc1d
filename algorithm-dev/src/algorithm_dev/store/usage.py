"""Calls counted by day, component, version and organisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from algorithm_dev.domain.metering import Tally, UsageKey
from algorithm_dev.store.tables import usage

_ADD = sa.text("""
    INSERT INTO usage (day, component, version, org, kind, calls, failures, rows, milliseconds)
    VALUES (:day, :component, :version, :org, :kind, :calls, :failures, :rows, :milliseconds)
    ON CONFLICT (day, component, version, org, kind) DO UPDATE SET
        calls = usage.calls + excluded.calls, failures = usage.failures + excluded.failures,
        rows = usage.rows + excluded.rows, milliseconds = usage.milliseconds + excluded.milliseconds
""")


def add(session: Session, counted: Mapping[UsageKey, Tally]) -> None:
    """Adds what was counted."""
    for (day, component, version, org, kind), tally in sorted(counted.items()):
        values = {"day": day, "component": component, "version": version, "org": org, "kind": kind}
        session.execute(_ADD, values | tally.as_dict())


def by_day(session: Session, component: str | None, org: str | None, since: str) -> Sequence[sa.Row[Any]]:
    """Calls of a component (None: all) by an organisation (None: all) since a day, newest day first."""
    columns = (usage.c.day, usage.c.component, usage.c.version, usage.c.org, usage.c.kind)
    sums = [sa.func.sum(usage.c[name]).label(name) for name in ("calls", "failures", "rows", "milliseconds")]
    query = sa.select(*columns, *sums).where(usage.c.day >= since).group_by(*columns)
    if component is not None:
        query = query.where(usage.c.component == component)
    if org is not None:
        query = query.where(usage.c.org == org)
    return session.execute(query.order_by(usage.c.day.desc(), usage.c.component, usage.c.org)).all()
