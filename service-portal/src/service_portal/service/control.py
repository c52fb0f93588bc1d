"""Plans and usage."""

from __future__ import annotations

from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.database import Database
from brain_kit.problems import NotFound

from service_portal.domain.plans import DEFAULT_BY_KIND, DEFAULT_PLANS, Plan
from service_portal.store import control as store


def list_plans(database: Database) -> dict[str, Any]:
    """Plans and which organisations have one of their own."""
    with database.reading() as session:
        plans = DEFAULT_PLANS | store.load_plans(session)
        assigned = store.load_assignments(session)
    items = [_shown(plan) for plan in plans.values()]
    return {"items": items, "next": None, "assigned": assigned, "default_by_kind": DEFAULT_BY_KIND}


def put_plan(database: Database, principal: Principal, plan: Plan) -> dict[str, Any]:
    """Sets a plan; gateways follow within seconds."""
    with database.transaction() as session:
        store.save_plan(session, plan)
        audit.record(session, principal, action="plan.put", object=plan.name, detail=_shown(plan))
    return _shown(plan)


def assign_plan(database: Database, principal: Principal, org: str, plan: str) -> dict[str, Any]:
    """Gives an organisation a plan of its own. Raises NotFound for an unknown plan."""
    with database.transaction() as session:
        if plan not in DEFAULT_PLANS | store.load_plans(session):
            raise NotFound(f"没有方案 {plan}")
        store.assign(session, org, plan)
        audit.record(session, principal, action="plan.assign", object=org, detail={"plan": plan})
    return {"org": org, "plan": plan}


def list_usage(
    database: Database, principal: Principal, *, org: str | None, since: str, until: str, limit: int
) -> dict[str, Any]:
    """Usage by day and consumer; others than operators see their own organisation's."""
    wanted = org if principal.is_operator else principal.org
    with database.reading() as session:
        rows = store.usage_rows(session, org=wanted, since=since, until=until, limit=limit)
    return {"items": rows, "next": None}


def _shown(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}
