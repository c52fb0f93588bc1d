"""The data network 虚拟数据网络: what links carry over the coming days, and the forms that change them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from brain_kit.clock import CHINA, utc_now
from brain_kit.problems import Problem
from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.drawings import Bar
from service_portal.portal.exports import as_file
from service_portal.portal.formats import moment
from service_portal.portal.job_shapes import moment_text, number_of
from service_portal.portal.parts import part
from service_portal.portal.refusals import refused, typed
from service_portal.portal.routes.transfers import shown
from service_portal.portal.visit import Operator, Sent, SignedIn, Visit

router = APIRouter()
DAYS = (1, 7, 30)
LINK_FIELDS = ("one", "other", "capacity_gbit_s", "latency_ms", "as_of", "note")
COLUMNS = (
    "one", "other", "capacity_gbit_s", "limit_gbit_s", "reserved_gbit_s", "free_gbit_s", "latency_ms", "windows",
    "as_of", "note", "updated_at",
)  # fmt: skip
MOST_TRANSFERS = 500
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_MINUTES = "%Y-%m-%dT%H:%M"


@router.get("/network")
def network(visit: SignedIn, days: int = 7) -> Response:
    """Every link with what it carries now and over the next days."""
    days = days if days in DAYS else 7
    found = [_drawn(link) for link in visit.brain.links(days)]
    alive = part(lambda: visit.brain.transfers(state="alive", limit=MOST_TRANSFERS))
    return visit.page(
        "network.html", links=found, alive=alive, days=days, choices=DAYS, names=centre_names(visit), marks=_marks(days)
    )


@router.get("/network/links.{kind}")
def links_file(visit: SignedIn, kind: Literal["csv", "xlsx"]) -> Response:
    """The links as a file, with the number of their windows."""
    rows = [link | {"windows": len(link["windows"])} for link in visit.brain.links()]
    return as_file(kind, "links", COLUMNS, rows)


@router.get("/network/links/new")
def new_link(visit: Operator, one: str = "", other: str = "") -> Response:
    """The form of a link; one, other: filled in with what is registered of it."""
    known = next((link for link in visit.brain.links() if {link["one"], link["other"]} == {one, other}), {})
    fields = {name: _plain(known.get(name)) for name in LINK_FIELDS}
    fields |= {"one": one, "other": other, "as_of": fields["as_of"] or f"{utc_now().astimezone(CHINA):%Y-%m-%d}"}
    return _link_form(visit, fields)


@router.post("/network/links")
def set_link(sent: Sent) -> Response:
    """Registers or changes a link, then shows it; what is wrong stands beside its field."""
    visit, form = sent.visit, sent.form
    one, other = form.one("one"), form.one("other")
    latency = form.one("latency_ms")
    body = {
        "capacity_gbit_s": number_of(form.one("capacity_gbit_s")),
        "latency_ms": number_of(latency) if latency else None,
        "as_of": form.one("as_of"),
        "note": form.one("note"),
    }
    try:
        made = visit.brain.set_link(one or "-", other or "-", body)
    except Problem as problem:
        return _link_form(visit, typed(form), refused(problem))
    return visit.go(f"/network/links/{made['one']}/{made['other']}")


@router.get("/network/links/{one}/{other}")
def link(visit: SignedIn, one: Name, other: Name, days: int = 7) -> Response:
    """A link: its course, its windows, what is reserved of it, what it has carried."""
    return _link_page(visit, one, other, days, {})


@router.post("/network/links/{one}/{other}/remove")
def remove_link(sent: Sent, one: Name, other: Name) -> Response:
    """Forgets a link, then shows the others."""
    sent.visit.brain.remove_link(one, other)
    return sent.visit.go("/network")


@router.post("/network/links/{one}/{other}/windows")
def add_window(sent: Sent, one: Name, other: Name) -> Response:
    """Adds a time in which the link carries less, then shows the link; what is wrong stands beside its field."""
    visit, form = sent.visit, sent.form
    body = {
        "start_at": moment_text(form.one("start_at")),
        "end_at": moment_text(form.one("end_at")),
        "gbit_s": number_of(form.one("gbit_s")),
        "note": form.one("note"),
    }
    try:
        visit.brain.add_window(one, other, body)
    except Problem as problem:
        return _link_page(visit, one, other, 7, typed(form), refused(problem))
    return visit.go(f"/network/links/{one}/{other}")


@router.post("/network/links/{one}/{other}/windows/{window}/remove")
def remove_window(sent: Sent, one: Name, other: Name, window: str) -> Response:
    """Takes a window back, then shows the link."""
    sent.visit.brain.remove_window(one, other, window)
    return sent.visit.go(f"/network/links/{one}/{other}")


def centre_names(visit: Visit) -> dict[str, str]:
    """Titles of centres; empty when they cannot be read."""
    return {centre["id"]: centre["title"] for centre in part(visit.brain.centres).value or []}


def _link_page(
    visit: Visit, one: str, other: str, days: int, fields: dict[str, str], problem: dict[str, Any] | None = None
) -> Response:
    days = days if days in DAYS else 7
    found = visit.brain.link(one, other, days)
    ends = [found["one"], found["other"]]
    alive = part(lambda: visit.brain.transfers(state="alive", limit=MOST_TRANSFERS))
    over = [shown(item) for item in (alive.value or {"items": []})["items"] if ends in item["path"]]
    bars = [Bar(day["day"], float(day["bytes"]), 0.0) for day in found["carried"]]
    return visit.page(
        "link.html",
        status=problem["status"] if problem else 200,
        link=_drawn(found),
        over=over,
        alive=alive,
        bars=bars,
        days=days,
        choices=DAYS,
        marks=_marks(days),
        names=centre_names(visit),
        fields=fields,
        problem=problem,
    )


def _link_form(visit: Visit, fields: dict[str, str], problem: dict[str, Any] | None = None) -> Response:
    status = problem["status"] if problem else 200
    return visit.page("link_form.html", status=status, fields=fields, problem=problem, names=centre_names(visit))


def _drawn(link: dict[str, Any]) -> dict[str, Any]:
    """The link with its course as parts of the time shown: (start, end, limit, reserved)."""
    times = [(moment(item["from"]), moment(item["until"]), item) for item in link["course"]]
    known = [(start, end, item) for start, end, item in times if start and end]
    parts: list[tuple[float, float, float, float]] = []
    if known:
        first, length = known[0][0], (known[-1][1] - known[0][0]).total_seconds()
        parts = [
            (_share(start - first, length), _share(end - first, length), item["limit_gbit_s"], item["reserved_gbit_s"])
            for start, end, item in known
        ]
    return link | {"parts": parts}


def _share(passed: timedelta, length: float) -> float:
    return passed.total_seconds() / length if length else 0.0


def _marks(days: int) -> list[datetime]:
    """Moments that stand under a course: its start, its middle and its end."""
    now = utc_now()
    return [now + timedelta(days=days) * place / 2 for place in range(3)]


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
