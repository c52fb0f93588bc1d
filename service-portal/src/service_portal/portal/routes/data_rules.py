"""Data rules 数据不出域: where data sets may be; and what bringing one to each centre takes."""

from __future__ import annotations

from typing import Any

from brain_kit.problems import Problem
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.parts import part
from service_portal.portal.refusals import refused, typed
from service_portal.portal.routes.network import centre_names
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
SHOWN_VERSIONS = 20


@router.get("/network/rules")
def rules(visit: SignedIn, dataset: str = "") -> Response:
    """The rules that the caller may know, with the centres that each leaves open; dataset: fills in the form."""
    return _page(visit, dataset)


@router.post("/network/rules")
def set_rule(sent: Sent) -> Response:
    """Adds or changes a rule, then shows them; what is wrong stands beside its field."""
    visit, form = sent.visit, sent.form
    body = {"stays_in": form.one("stays_in").split(), "reason": form.one("reason")}
    dataset = form.one("dataset")
    try:
        visit.brain.set_data_rule(dataset or "-", body)
    except Problem as problem:
        return _page(visit, dataset, typed(form), _entries_told(refused(problem)))
    return visit.go("/network/rules")


@router.post("/network/rules/{dataset}/remove")
def remove_rule(sent: Sent, dataset: str) -> Response:
    """Takes a rule back, then shows the others."""
    sent.visit.brain.remove_data_rule(dataset)
    return sent.visit.go("/network/rules")


@router.get("/network/quotes")
def quotes(visit: SignedIn, dataset: str = "", version: str = "") -> Response:
    """What bringing a version of a data set to each centre takes now, and whether it may go there."""
    found = part(lambda: visit.brain.data_quotes(dataset, version)) if dataset else None
    versions = part(lambda: visit.brain.versions(dataset, SHOWN_VERSIONS)).value if dataset else None
    items = sorted(found.value["items"], key=_order) if found and found.value else []
    return visit.page(
        "quotes.html",
        found=found,
        items=[item | {"stops": _stops(item)} for item in items],
        dataset=dataset,
        version=version,
        datasets=part(visit.brain.datasets).value or [],
        versions=versions or [],
        names=centre_names(visit),
    )


def _page(
    visit: Visit, dataset: str, fields: dict[str, str] | None = None, problem: dict[str, Any] | None = None
) -> Response:
    known = visit.brain.data_rules()
    chosen = next((rule for rule in known if rule["dataset"] == dataset), None)
    filled = {"dataset": dataset, "stays_in": "", "reason": ""}
    if chosen:
        filled |= {"stays_in": "\n".join(chosen["stays_in"]), "reason": chosen["reason"]}
    return visit.page(
        "rules.html",
        status=problem["status"] if problem else 200,
        rules=known,
        fields=fields or filled,
        problem=problem,
        datasets=part(visit.brain.datasets).value or [],
        names=centre_names(visit),
        may_rule=visit.person.has("operator", "analyst", "manager", "provider"),
    )


def _entries_told(problem: dict[str, Any]) -> dict[str, Any]:
    """The problem with what is wrong with single entries told at their field: `stays_in.2` is of `stays_in`."""
    told = [
        f"{item['value']}：{item['reason']}" if "value" in item else item["reason"]
        for item in problem.get("errors") or []
        if str(item["field"]).partition(".")[0] == "stays_in"
    ]
    return problem | {"fields": problem["fields"] | ({"stays_in": "；".join(told)} if told else {})}


def _order(item: dict[str, Any]) -> tuple[bool, float, str]:
    seconds = item["seconds"]
    return not item["allowed"], float("inf") if seconds is None else seconds, item["centre"]


def _stops(item: dict[str, Any]) -> list[str]:
    """The centres that the data would pass, from the source on; empty when nothing has to move."""
    stops = [item["source"]] if item["path"] else []
    for one, other in item["path"]:
        stops.append(other if stops[-1] == one else one)
    return stops
