"""A new job: its form, empty or filled in from another job, what it would cost, and sending it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from brain_kit.problems import Problem, problem_body
from fastapi import APIRouter, Query
from starlette.responses import Response

from service_portal.portal.job_shapes import PRIORITIES, fields_of, spec_of, typed
from service_portal.portal.parts import part
from service_portal.portal.security import Form, current_request_id
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
EMPTY: dict[str, Any] = {
    "name": "", "priority": "normal", "resources": {"cores": 1, "memory_mb": 512}, "retries": 0, "time_limit_s": 3600,
    "gang": 1,
}  # fmt: skip
_REFUSALS = (400, 403, 404, 409, 413, 422)


@router.get("/jobs/new")
def new_job(visit: SignedIn, source: str = Query("", alias="from", max_length=60)) -> Response:
    """The form of a job; `from`: filled in with another job's specification, its deadline aside."""
    given = _given(visit, source) or EMPTY
    return _form(visit, fields_of(given), source, None)


@router.post("/jobs/new")
def submit(sent: Sent) -> Response:
    """Queues the job and shows it; what the API refuses stands above the form, with what was written."""
    visit, form = sent.visit, sent.form
    source = form.one("from")
    try:
        spec = _spec(visit, form)
        made = visit.brain.submit_job(spec, _key(form.one("repeat"), spec))
    except Problem as problem:
        if problem.status not in _REFUSALS:
            raise
        told = problem_body(problem, request_id=current_request_id())
        return _form(visit, typed(form), source, told, form.one("repeat"))
    return visit.go(f"/jobs/{made['id']}")


@router.post("/jobs/estimate")
def estimate(sent: Sent) -> Response:
    """When the job of the form could start and what it would cost at each centre; nothing is queued."""
    visit, form = sent.visit, sent.form
    found = part(lambda: visit.brain.estimate_job(_spec(visit, form)))
    return visit.page("_job_estimate.html", found=found)


def _key(page: str, spec: dict[str, Any]) -> str:
    """The same content of the same page sent twice is one job; changed content is another."""
    return f"{page}:{hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:32]}"


def _given(visit: Visit, source: str) -> dict[str, Any]:
    """The specification of the job to be copied; its own deadline has a meaning for that job only."""
    return dict(visit.brain.job(source)["spec"]) | {"deadline": None} if source else {}


def _spec(visit: Visit, form: Form) -> dict[str, Any]:
    return spec_of(typed(form), _given(visit, form.one("from")))


def _form(
    visit: Visit, fields: dict[str, str], source: str, problem: dict[str, Any] | None, repeat: str = ""
) -> Response:
    return visit.page(
        "job_form.html",
        status=422 if problem else 200,
        fields=fields,
        source=source,
        problem=problem,
        centres=part(visit.brain.centres).value or [],
        priorities=PRIORITIES,
        repeat=repeat,
    )
