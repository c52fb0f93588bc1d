"""Quotas of tenants and of groups that lend each other what lies idle: for operators."""

from __future__ import annotations

from typing import Any

from brain_kit.problems import InvalidInput, Problem, problem_body
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.job_shapes import pairs_of, pairs_text
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.security import current_request_id
from service_portal.portal.visit import Operator, Sent, Visit

router = APIRouter()
AMOUNTS = ("quota", "lending_limit", "borrowing_limit")
_REFUSALS = (400, 404, 409, 422)


@router.get("/quotas")
def quotas(visit: Operator, org: str = "", group: str = "") -> Response:
    """Every tenant and group, and the forms to set one; org, group: filled in with what that has."""
    return _page(visit, org, group)


@router.post("/quotas/tenants")
def set_quota(sent: Sent) -> Response:
    """Sets a tenant's quota, weight, group and limits; `remove` takes its own quota away."""
    visit, form = sent.visit, sent.form
    org = form.one("org")

    def save() -> None:
        if form.one("action") == "remove":
            visit.brain.remove_quota(org)
            return
        fields = {name: form.one(name) for name in AMOUNTS}
        body: dict[str, Any] = {name: _amounts(fields, name) for name in AMOUNTS}
        body |= {"weight": form.one("weight") or 1, "group": form.one("group") or None}
        visit.brain.set_quota(org, body)

    return _done(visit, save, org, "")


@router.post("/quotas/groups")
def set_group(sent: Sent) -> Response:
    """Makes, changes or removes a group."""
    visit, form = sent.visit, sent.form
    group = form.one("id")

    def save() -> None:
        if form.one("action") == "remove":
            visit.brain.remove_quota_group(group)
            return
        fields = {name: form.one(name) for name in AMOUNTS}
        body: dict[str, Any] = {name: _amounts(fields, name) for name in AMOUNTS}
        visit.brain.set_quota_group(group, body | {"title": form.one("title"), "parent": form.one("parent") or None})

    return _done(visit, save, "", group)


def _done(visit: Visit, save: Any, org: str, group: str) -> Response:
    """Back to the page; what the API refuses stands above its forms."""
    try:
        save()
    except Problem as problem:
        if problem.status not in _REFUSALS:
            raise
        return _page(visit, org, group, problem_body(problem, request_id=current_request_id()))
    return visit.go("/quotas")


def _page(visit: Visit, org: str, group: str, problem: dict[str, Any] | None = None) -> Response:
    tenants, groups = visit.brain.quotas(), visit.brain.quota_groups()
    return visit.page(
        "quotas.html",
        status=problem["status"] if problem else 200,
        tenants=[_written(item) for item in tenants],
        groups=[_written(item) for item in groups],
        names=organisation_names(visit),
        org=org,
        group=group,
        chosen=next((_written(item) for item in tenants if item["org"] == org), {}),
        chosen_group=next((_written(item) for item in groups if item["id"] == group), {}),
        problem=problem,
    )


def _written(item: dict[str, Any]) -> dict[str, Any]:
    """With its amounts as the fields of a form."""
    return item | {f"{name}_text": pairs_text(item.get(name) or {}) for name in AMOUNTS}


def _amounts(fields: dict[str, str], name: str) -> dict[str, float]:
    found = {}
    for resource, text in pairs_of(fields, name).items():
        try:
            found[resource] = float(text)
        except ValueError:
            errors = [{"field": f"{name}.{resource}", "value": text[:40], "reason": "应为数值"}]
            raise InvalidInput(f"{name} 里 {resource} 的 {text[:40]} 不是数值", errors=errors) from None
    return found
