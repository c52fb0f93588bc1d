"""What the forms of the indicator pages do: compute, targets, weights, reported values and their review."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from brain_kit.problems import InvalidInput
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.evaluation_api import EvaluationApi
from service_portal.portal.parts import part
from service_portal.portal.routes.indicators import indicator_address, indicator_page, weights_page
from service_portal.portal.security import Form, safe_return
from service_portal.portal.visit import Sent

router = APIRouter()
ACTIONS = ("submit", "withdraw", "confirm", "return", "discard")


@router.post("/indicators/{set_id}/compute")
def compute(sent: Sent, set_id: str) -> Response:
    """Queues a computation of the set for the chosen place and the months that trends show; then follows it."""
    visit, form = sent.visit, sent.form
    place = {"period": form.one("period"), "cluster": form.one("cluster")}
    body = {"cluster": place["cluster"], "set": set_id, "periods": [place["period"]]}
    run = EvaluationApi(visit.brain).request_run(body)
    return visit.go(visit.url(f"/indicators/{quote(set_id)}", **place, run=run["id"]))


@router.post("/indicator-runs/{run}/cancel")
def cancel(sent: Sent, run: str) -> Response:
    """Ends a run early; one that has ended stays as it is."""
    part(lambda: EvaluationApi(sent.visit.brain).cancel_run(run))
    back = urlsplit(sent.form.one("back"))
    return sent.visit.go(safe_return(back.path + (f"?{back.query}" if back.query else "")))


@router.post("/indicators/{set_id}/weights")
def save_weights(sent: Sent, set_id: str) -> Response:
    """Saves weights and full marks; a refusal is shown above the form with what was typed."""
    visit, form = sent.visit, sent.form
    typed = {name: form.one(name) for name in form}
    api = EvaluationApi(visit.brain)

    def save() -> Any:
        return api.put_weights(
            set_id, _numbers(form, "w-"), _numbers(form, "f-"), form.one("note"), form.one("version")
        )

    saved = part(save)
    if saved.problem:
        return weights_page(visit, set_id, int(saved.problem["status"]), problem=saved.problem, typed=typed)
    return visit.go(f"/indicators/{quote(set_id)}/weights")


@router.post("/indicators/{set_id}/{code}/target")
def save_target(sent: Sent, set_id: str, code: str) -> Response:
    """Saves a target; an empty field removes it."""
    visit, form = sent.visit, sent.form
    place = {"period": form.one("period"), "cluster": form.one("cluster")}

    def save() -> Any:
        text = form.one("value")
        value = _number(text, "value") if text else None
        return EvaluationApi(visit.brain).put_target(set_id, code, place | {"value": value})

    saved = part(save)
    if saved.problem:
        return indicator_page(
            visit, set_id, code, place["period"], place["cluster"], int(saved.problem["status"]), problem=saved.problem
        )
    return visit.go(indicator_address(set_id, code, place))


@router.post("/indicators/{set_id}/{code}/reports")
def create_report(sent: Sent, set_id: str, code: str) -> Response:
    """Begins a reported value; a refusal is shown above with what was typed."""
    visit, form = sent.visit, sent.form
    place = {"period": form.one("period"), "cluster": form.one("cluster")}
    made = part(lambda: EvaluationApi(visit.brain).create_report(set_id, code, place | _answer(form)))
    if made.problem:
        typed = {name: form.one(name) for name in ("value", "text", "note")}
        return indicator_page(
            visit,
            set_id,
            code,
            place["period"],
            place["cluster"],
            int(made.problem["status"]),
            problem=made.problem,
            typed=typed,
        )
    return visit.go(indicator_address(set_id, code, place) + "#reports")


@router.post("/reports/{report}/edit")
def edit_report(sent: Sent, report: str) -> Response:
    """Saves a changed draft."""
    form = sent.form
    EvaluationApi(sent.visit.brain).edit_report(report, _answer(form), form.one("version"))
    return sent.visit.go(safe_return(form.one("back")) + "#reports")


@router.post("/reports/{report}/act")
def act_on_report(sent: Sent, report: str) -> Response:
    """Submits, withdraws, confirms, returns or discards."""
    form = sent.form
    action = form.one("action")
    if action not in ACTIONS:
        raise InvalidInput("没有这个操作。")
    EvaluationApi(sent.visit.brain).act("reports", report, action, form.one("note"))
    return sent.visit.go(safe_return(form.one("back")) + "#reports")


def _answer(form: Form) -> dict[str, Any]:
    """The value or the text of a form, as its indicator asks for; a number that is none stays text and is refused."""
    if form.one("answer") == "text":
        return {"text": form.one("text"), "note": form.one("note")}
    return {"value": _number(form.one("value"), "value"), "note": form.one("note")}


def _numbers(form: Form, prefix: str) -> dict[str, float]:
    """Fields with a prefix that hold something, as numbers. Raises InvalidInput naming the field."""
    return {
        name.removeprefix(prefix): _number(form.one(name), name)
        for name in form
        if name.startswith(prefix) and form.one(name)
    }


def _number(text: str, field: str) -> float:
    """The number in a text, with thousands separated or not. Raises InvalidInput."""
    try:
        value = float(text.replace(",", "").replace("，", ""))
    except ValueError as error:
        raise InvalidInput(
            f"「{text[:40]}」不是数值", errors=[{"field": field, "reason": "应为数值，如 12.5"}]
        ) from error
    return value
