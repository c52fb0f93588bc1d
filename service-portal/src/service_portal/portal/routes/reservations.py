"""Reservations and maintenance windows: what is kept when and for whom; making and cancelling them for operators."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.problems import InvalidInput, Problem, problem_body
from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.exports import as_file
from service_portal.portal.job_shapes import pairs_of
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.schedules import DAYS, schedule
from service_portal.portal.security import current_request_id
from service_portal.portal.translations import mark
from service_portal.portal.visit import Sent, SignedIn, Visit
from service_portal.portal.vocabulary import RESERVATION_KINDS

router = APIRouter()
Id = Annotated[str, Path(pattern=r"^rsv_[0-9A-Za-z]{1,36}$")]
COLUMNS = (
    "id", "kind", "centre", "title", "purpose", "start_at", "end_at", "state", "orgs", "priority", "nodes", "cores",
    "running", "reason", "began_at", "ended_at", "created_at",
)  # fmt: skip
TEXTS = (
    "kind", "centre", "title", "purpose", "start_at", "end_at", "orgs", "priority", "nodes", "cores", "memory_mb",
    "accelerators", "count", "running",
)  # fmt: skip
AHEAD = mark("今后 %(n)s 天的预留与维护")
_REFUSALS = (400, 404, 409, 422)


@router.get("/reservations")
def reservations(visit: SignedIn, kind: str = "", state: str = "", centre: str = "", after: str = "") -> Response:
    """The coming days as a time line, the list, and the form for operators."""
    return _page(visit, {"kind": kind, "state": state, "centre": centre, "after": after}, {})


@router.get("/reservations.csv")
def reservations_file(visit: SignedIn, kind: str = "", state: str = "", centre: str = "") -> Response:
    """The list as CSV."""
    items = [
        item | {"orgs": " ".join(item["orgs"]), "nodes": " ".join(node["node"] for node in item["nodes"])}
        for item in visit.brain.all_reservations(kind=kind, state=state, centre=centre)
    ]
    return as_file("csv", "reservations", COLUMNS, items)


@router.post("/reservations")
def make_reservation(sent: Sent) -> Response:
    """Shows whom it would touch, or makes it; what the API refuses stands above the form."""
    visit, form = sent.visit, sent.form
    fields = {name: (form.one(name) or "").strip() for name in TEXTS}
    seen = None
    try:
        body = _body(fields)
        if form.one("action") == "preview":
            seen = visit.brain.preview_reservation(body)
        else:
            made = visit.brain.make_reservation(body, form.one("repeat") or "")
            return visit.go(f"/reservations/{made['id']}")
    except Problem as problem:
        if problem.status not in _REFUSALS:
            raise
        return _page(visit, {}, fields, problem=problem_body(problem, request_id=current_request_id()))
    return _page(visit, {}, fields, seen=seen)


@router.get("/reservations/{reservation}")
def reservation(visit: SignedIn, reservation: Id) -> Response:
    """One with its nodes and what went unused."""
    found = visit.brain.reservation(reservation)
    return visit.page("reservation.html", r=found, names=organisation_names(visit))


@router.post("/reservations/{reservation}/cancel")
def cancel(sent: Sent, reservation: Id) -> Response:
    """Gives back what it keeps."""
    sent.visit.brain.cancel_reservation(reservation, sent.form.one("reason") or "")
    return sent.visit.go(f"/reservations/{reservation}")


def _page(
    visit: Visit,
    filters: dict[str, str],
    fields: dict[str, str],
    problem: dict[str, Any] | None = None,
    seen: dict[str, Any] | None = None,
) -> Response:
    now = utc_now()
    found = visit.brain.reservations(**filters)
    until = rfc3339(now + timedelta(days=DAYS + 1))
    ahead = visit.brain.all_reservations(state="live", since=rfc3339(now), until=until)
    title = visit.text(AHEAD) % {"n": DAYS}

    def name(item: dict[str, Any]) -> str:
        return f"{visit.text(RESERVATION_KINDS[item['kind']])} {item['title']}"

    return visit.page(
        "reservations.html",
        status=problem["status"] if problem else 200,
        items=found["items"],
        next=found["next"],
        filters=filters,
        drawn=schedule(ahead, now, title, name),
        centres=visit.brain.centres(),
        names=organisation_names(visit),
        fields=fields,
        problem=problem,
        seen=seen,
    )


def _body(fields: dict[str, str]) -> dict[str, Any]:
    """The request of a form. Raises InvalidInput for texts that are no times or numbers."""
    body: dict[str, Any] = {name: fields[name] for name in ("kind", "centre", "title", "purpose")}
    body |= {name: _moment(fields, name) for name in ("start_at", "end_at")}
    body |= {name: fields[name].replace("，", " ").replace(",", " ").split() for name in ("orgs", "nodes")}
    body |= {"priority": fields["priority"] or None, "running": fields["running"] or "leave"}
    if fields["cores"] and body["kind"] == "reservation":
        body["resources"] = {
            "cores": _number(fields, "cores"),
            "memory_mb": int(_number(fields, "memory_mb")),
            "accelerators": pairs_of(fields, "accelerators"),
        }
        body["count"] = int(_number(fields, "count")) or 1
    return body


def _moment(fields: dict[str, str], name: str) -> str:
    """A time of the form, which is China's."""
    try:
        return datetime.fromisoformat(fields[name]).replace(tzinfo=CHINA).isoformat()
    except ValueError:
        errors = [{"field": name, "value": fields[name][:40], "reason": "应为日期和时间"}]
        raise InvalidInput("开始和结束都要填日期和时间", errors=errors) from None


def _number(fields: dict[str, str], name: str) -> float:
    try:
        return float(fields[name] or 0)
    except ValueError:
        errors = [{"field": name, "value": fields[name][:40], "reason": "应为数值"}]
        raise InvalidInput(f"{name} 不是数值", errors=errors) from None
