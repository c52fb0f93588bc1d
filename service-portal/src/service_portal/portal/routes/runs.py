"""Batch runs: choose a data set and a version, follow the run, find its result."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from brain_kit.problems import InvalidInput, Problem, problem_body
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.component_shapes import form_columns, signature_rows
from service_portal.portal.parts import part
from service_portal.portal.security import Form, current_request_id
from service_portal.portal.shapes import dataset_of
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
PAGE = 50
STEPS = ("accepted", "staged", "queued", "running", "computed", "registered", "pushed", "succeeded")


@router.get("/runs")
def runs(visit: SignedIn, state: str = "", component: str = "", after: str = "") -> Response:
    """Runs, newest first."""
    page = visit.brain.runs(state=state, component=component, after=after, limit=PAGE)
    return visit.page("runs.html", page=page, state=state, component=component)


@router.get("/components/{name}/versions/{version}/run")
def run_form(visit: SignedIn, name: str, version: str, dataset: str = "") -> Response:
    """The form of a run: data set, its version, which column fills which, parameters, where the result goes."""
    return _form(visit, name, version, dataset, Form(), None)


@router.post("/components/{name}/versions/{version}/run")
def start(sent: Sent, name: str, version: str) -> Response:
    """Starts the run and shows it; what the API refuses stands above the form, with what was written."""
    visit, form = sent.visit, sent.form
    card = visit.brain.component_version(name, version)["card"]
    try:
        made = visit.brain.start_run(name, version, _request(card, form), form.one("repeat"))
    except Problem as problem:
        if problem.status not in (404, 409, 422):
            raise
        told = problem_body(problem, request_id=current_request_id())
        return _form(visit, name, version, form.one("dataset"), form, told)
    return visit.go(f"/runs/{quote(str(made['id']))}")


@router.get("/runs/{run_id}")
def run(visit: SignedIn, run_id: str) -> Response:
    """A run: state and reason, steps, link to its job's log, result and lineage."""
    found = visit.brain.run(run_id)
    return visit.page("run.html", run=found, steps=STEPS, reached=_reached(found))


@router.get("/runs/{run_id}/progress")
def progress(visit: SignedIn, run_id: str) -> Response:
    """The state line alone; the page asks for it again until the run has ended, then reloads once."""
    found = visit.brain.run(run_id)
    headers = {"HX-Refresh": "true"} if found["is_final"] and visit.is_partial else None
    return visit.page("_run_progress.html", headers=headers, run=found, steps=STEPS, reached=_reached(found))


@router.get("/runs/{run_id}/log")
def log(visit: SignedIn, run_id: str) -> Response:
    """What the run's job printed, its first MiB."""
    found = visit.brain.run(run_id)
    text = part(lambda: visit.brain.job_log(found["job_id"])) if found["job_id"] else part(lambda: "")
    return visit.page("run_log.html", run=found, log=text)


@router.post("/runs/{run_id}/cancel")
def cancel(sent: Sent, run_id: str) -> Response:
    """Asks the run to stop."""
    sent.visit.brain.cancel_run(run_id)
    return sent.visit.go(f"/runs/{quote(run_id)}")


def _reached(run: dict[str, Any]) -> int:
    seen = [step["state"] for step in run["steps"] if step["state"] in STEPS]
    state = run["state"] if run["state"] in STEPS else (seen[-1] if seen else "accepted")
    return STEPS.index(state)


def _form(visit: Visit, name: str, version: str, dataset: str, form: Form, problem: dict[str, Any] | None) -> Response:
    shown = visit.brain.component_version(name, version)
    card = shown["card"]
    chosen = part(lambda: dataset_of(visit.brain.dataset(dataset), visit.locale)) if dataset else None
    versions = part(lambda: visit.brain.dataset_versions(dataset)["items"]) if dataset else None
    inputs = _inputs(card)
    return visit.page(
        "run_form.html",
        status=422 if problem else 200,
        shown=shown,
        card=card,
        names=[item["name"] for item in part(visit.brain.datasets).value or []],
        dataset=dataset,
        chosen=chosen,
        versions=versions,
        inputs=inputs,
        parameters=[field for field in form_columns(card) if field.of == "parameter"],
        outputs=[field.name for field in signature_rows(card["signature"]["outputs"])],
        form=form,
        problem=problem,
    )


def _inputs(card: dict[str, Any]) -> list[str]:
    side = card["signature"]["inputs"]
    if side["form"] == "rows":
        return list(side["schema"]["properties"])
    return [name for tensor in side["tensors"] for name in tensor.get("columns") or ()]


def _request(card: dict[str, Any], form: Form) -> dict[str, Any]:
    mapping = {name: form.one(f"map-{name}") for name in _inputs(card)}
    parameters: dict[str, Any] = {}
    for item in card["signature"].get("parameters") or ():
        text = form.one(f"parameter-{item['name']}")
        if text:
            parameters[item["name"]] = _value(item, text)
    return {
        "dataset": form.one("dataset"),
        "version": form.one("version") or None,
        "filter": form.one("filter"),
        "mapping": {name: column for name, column in mapping.items() if column and column != name},
        "parameters": parameters,
        "into": form.one("into"),
        "key": [name for name in form.get("key") or [] if name],
    }


def _value(item: dict[str, Any], text: str) -> Any:
    if item["type"] == "string":
        return text
    if item["type"] == "boolean":
        return text == "true"
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"参数 {item['name']} 应为数值，现为 {text[:40]}") from error
