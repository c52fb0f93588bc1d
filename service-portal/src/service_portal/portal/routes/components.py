"""The market of components, the card of a version with its trial, aliases and review."""

from __future__ import annotations

import json
from urllib.parse import quote

from brain_kit.problems import Forbidden, InvalidInput, Problem, problem_body
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.component_shapes import (
    KINDS,
    example_body,
    filled_body,
    form_columns,
    result_table,
    signature_rows,
)
from service_portal.portal.parts import part
from service_portal.portal.security import current_request_id
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
SERVICE = "algorithm-dev"
REVIEWERS = ("operator", "analyst")
DECISIONS = {"submit": "submit", "approve": "approve", "reject": "reject", "withdraw": "withdraw", "verify": "verify"}
USAGE_DAYS = 30


@router.get("/components")
def components(visit: SignedIn, q: str = "", kind: str = "", owner: str = "", state: str = "") -> Response:
    """The market: every component that the caller may see, narrowed by words, kind, owner and state."""
    page = visit.brain.components(q=q, kind=kind, owner=owner, state=state, limit=200)
    return visit.page(
        "components.html", page=page, q=q, kind=kind, owner=owner, state=state, kinds=KINDS, reviews=_reviews(visit)
    )


@router.get("/components/register")
def register_form(visit: SignedIn) -> Response:
    """The form to register a draft: a card and its files, dropped together."""
    return visit.page("component_register.html")


@router.get("/components/{name}")
def component(visit: SignedIn, name: str, version: str = "") -> Response:
    """A component: card, trial, versions, aliases with their history, use."""
    found = visit.brain.component(name)
    shown = visit.brain.component_version(name, version or found["version"])
    card = shown["card"]
    usage = part(lambda: visit.brain.component_usage(name, USAGE_DAYS)["items"])
    history = part(lambda: visit.brain.alias_history(name)["items"])
    return visit.page(
        "component.html",
        component=found,
        shown=shown,
        card=card,
        locale_text=lambda text: text.get(visit.locale) or text.get("zh") or "",
        inputs=signature_rows(card["signature"]["inputs"]),
        outputs=signature_rows(card["signature"]["outputs"]),
        fields=form_columns(card),
        body=json.dumps(example_body(card), ensure_ascii=False, indent=1),
        usage=usage,
        history=history,
        reviews=_reviews(visit),
        place=_place(name, shown["version"]),
    )


@router.post("/components/{name}/versions/{version}/try")
def try_it(sent: Sent, name: str, version: str) -> Response:
    """Calls the component with the rows of the page and answers the result part; errors name row and field."""
    visit, form = sent.visit, sent.form
    card = visit.brain.component_version(name, version)["card"]
    try:
        body = filled_body(card, form) if form.one("by") == "form" else json.loads(form.one("body"))
    except ValueError as error:
        raise InvalidInput(f"输入不是 JSON：{error}") from error
    try:
        answer = visit.brain.invoke(name, version, body)
    except Problem as problem:
        told = problem_body(problem, request_id=current_request_id())
        return visit.page("_try_result.html", problem=told, answer=None, table=None)
    return visit.page("_try_result.html", problem=None, answer=answer, table=result_table(card, answer["outputs"]))


@router.post("/components/{name}/versions/{version}/decisions/{decision}")
def decide(sent: Sent, name: str, version: str, decision: str) -> Response:
    """Submit, approve, reject, withdraw or verify; then the card again."""
    visit, form = sent.visit, sent.form
    if decision not in DECISIONS:
        raise Forbidden("没有这个操作。")
    visit.brain.decide_component(name, version, decision, form.one("reason"))
    return visit.go(_place(name, version))


@router.post("/components/{name}/subscription")
def subscribe(sent: Sent, name: str) -> Response:
    """Subscribes the organisation, or ends that."""
    sent.visit.brain.subscribe_component(name, wanted=sent.form.one("wanted") == "yes")
    return sent.visit.go(f"/components/{quote(name)}")


@router.post("/components/{name}/aliases")
def move_alias(sent: Sent, name: str) -> Response:
    """Points an alias at a version, based on the state that the page showed."""
    form = sent.form
    sent.visit.brain.move_alias(name, form.one("alias"), form.one("version"), form.one("reason"), form.one("edit"))
    return sent.visit.go(f"/components/{quote(name)}#aliases")


@router.get("/approvals")
def approvals(visit: SignedIn) -> Response:
    """Versions that wait for a second person."""
    if not _reviews(visit):
        raise Forbidden("没有这个页面，或者您的角色看不到它。")
    return visit.page("approvals.html", items=visit.brain.approvals()["items"])


def _reviews(visit: Visit) -> bool:
    return visit.person.has(*REVIEWERS)


def _place(name: str, version: str) -> str:
    return f"/components/{quote(name)}?version={quote(version)}"
