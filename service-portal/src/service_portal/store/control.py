"""Plans, assignments and usage as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from brain_kit.clock import utc_now
from sqlalchemy.orm import Session

from service_portal.domain.plans import Plan
from service_portal.domain.usage import Usage, UsageKey
from service_portal.store.tables import assignments, plans, usage

COUNTS = ("requests", "bytes_in", "bytes_out", "milliseconds")


def load_plans(session: Session) -> dict[str, Plan]:
    """Plans that operators have set, by name."""
    columns = (plans.c.name, plans.c.rate_per_s, plans.c.burst, plans.c.monthly_requests, plans.c.monthly_bytes)
    return {row.name: Plan(*row) for row in session.execute(sa.select(*columns))}


def save_plan(session: Session, plan: Plan) -> None:
    """Stores a plan, replacing one of the same name."""
    session.execute(sa.delete(plans).where(plans.c.name == plan.name))
    values = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
    session.execute(sa.insert(plans).values(changed_at=utc_now(), **values))


def load_assignments(session: Session) -> dict[str, str]:
    """Organisation to plan."""
    return {row.org: row.plan for row in session.execute(sa.select(assignments.c.org, assignments.c.plan))}


def assign(session: Session, org: str, plan: str) -> None:
    """Assigns a plan to an organisation."""
    session.execute(sa.delete(assignments).where(assignments.c.org == org))
    session.execute(sa.insert(assignments).values(org=org, plan=plan, changed_at=utc_now()))


def add_usage(session: Session, taken: Mapping[UsageKey, Usage]) -> None:
    """Adds counts to the rows of their day; each gateway adds its own."""
    names = ("day", "org", "consumer", "service", "status_class")
    for key, counted in taken.items():
        where = sa.and_(*(usage.c[name] == value for name, value in zip(names, key, strict=True)))
        counts = {name: getattr(counted, name) for name in COUNTS}
        more = {name: usage.c[name] + value for name, value in counts.items()}
        if session.execute(sa.update(usage).where(where).values(more).returning(usage.c.day)).first() is None:
            session.execute(sa.insert(usage).values(**dict(zip(names, key, strict=True)), **counts))


def month_totals(session: Session, month: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(organisation, month) to (requests, bytes) of a month."""
    query = (
        sa.select(usage.c.org, sa.func.sum(usage.c.requests), sa.func.sum(usage.c.bytes_in + usage.c.bytes_out))
        .where(usage.c.day.startswith(month))
        .group_by(usage.c.org)
    )
    return {(row[0], month): (int(row[1]), int(row[2])) for row in session.execute(query)}


def usage_rows(session: Session, *, org: str | None, since: str, until: str, limit: int) -> list[dict[str, Any]]:
    """Usage by day, newest first."""
    query = sa.select(usage).where(usage.c.day >= since, usage.c.day <= until)
    if org is not None:
        query = query.where(usage.c.org == org)
    rows = session.execute(query.order_by(usage.c.day.desc(), usage.c.org, usage.c.consumer).limit(limit)).mappings()
    return [dict(row) for row in rows]
