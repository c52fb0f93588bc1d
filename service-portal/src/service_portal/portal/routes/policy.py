"""The policy of the scheduler: what is in force, trying another on last month's jobs, switching it on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brain_kit.clock import CHINA, utc_now
from brain_kit.problems import InvalidInput, Problem, problem_body
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.routes.simulations import last_month
from service_portal.portal.security import Form, current_request_id
from service_portal.portal.translations import mark
from service_portal.portal.visit import Operator, Sent, Visit
from service_portal.portal.vocabulary import POLICIES, POLICY_VALUES

router = APIRouter()
SWITCH = "preemption"
TITLE = mark("启用前试算 %(n)s")
_REFUSALS = (400, 409, 422)


@router.get("/policy")
def policy(visit: Operator) -> Response:
    """What is in force, the form to change it, and the versions before."""
    found = visit.brain.policy()
    return _page(visit, found, found["base"], {name: _text(value) for name, value in found["values"].items()}, "", None)


@router.post("/policy")
def change(sent: Sent) -> Response:
    """Tries the values of the form on last month's jobs, or brings them into force."""
    visit, form = sent.visit, sent.form
    base = form.one("base")
    try:
        values = _values(form)
        if form.one("action") == "simulate":
            made = visit.brain.make_simulation(_simulation(visit, base, values))
            return visit.go(f"/simulations/{made['id']}")
        visit.brain.set_policy(
            {"base": base, "values": values, "note": form.one("note"), "replaces": form.one("replaces")}
        )
    except Problem as problem:
        if problem.status not in _REFUSALS:
            raise
        told = problem_body(problem, request_id=current_request_id())
        typed = {name: form.one(name) for name in POLICY_VALUES}
        return _page(visit, visit.brain.policy(), base, typed, form.one("note"), told)
    return visit.go("/policy")


def _page(
    visit: Visit, found: dict[str, Any], base: str, fields: dict[str, str], note: str, problem: dict[str, Any] | None
) -> Response:
    return visit.page(
        "policy.html",
        status=problem["status"] if problem else 200,
        found=found,
        versions=visit.brain.policy_versions(),
        bases=[name for name in POLICIES if name not in ("fcfs",)],
        base=base,
        fields=fields,
        note=note,
        problem=problem,
    )


def _simulation(visit: Visit, base: str, values: dict[str, Any]) -> dict[str, Any]:
    since, until = last_month(utc_now().astimezone(CHINA))
    first, last = (datetime.fromisoformat(day).replace(tzinfo=CHINA) for day in (since, until))
    end = last.replace(hour=23, minute=59, second=59)
    title = visit.text(TITLE) % {"n": since[:7]}
    return {
        "policy": base, "values": values, "format": "platform", "title": title, "since": first.isoformat(),
        "until": end.isoformat(),
    }  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {SWITCH: form.one(SWITCH) == "true"}
    for name in POLICY_VALUES:
        text = form.one(name)
        if name == SWITCH or not text:
            continue
        try:
            number = float(text)
        except ValueError:
            errors = [{"field": f"values.{name}", "value": text[:40], "reason": "应为数值"}]
            raise InvalidInput(f"{name} 的 {text[:40]} 不是数值", errors=errors) from None
        found[name] = int(number) if number.is_integer() else number
    return found
