"""Price lists and electricity tariffs: versions, a new one, and what it would have meant before it is published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brain_kit.clock import CHINA, utc_now
from brain_kit.problems import InvalidInput, Problem
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.job_shapes import pairs_of
from service_portal.portal.parts import part
from service_portal.portal.refusals import refused, typed
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.security import Form
from service_portal.portal.visit import Operator, Sent, SignedIn, Visit

router = APIRouter()
DAYS = 30
EMPTY = {"core_hour": "", "gib_hour": "", "gb_moved": "", "accelerator_hour": "", "centre": "", "note": ""}
EXAMPLE = """months,from,until,kind,yuan_kwh
1-12,23:00,07:00,谷,0.30
1-12,07:00,08:00,平,0.60
1-12,08:00,12:00,峰,0.90
1-12,12:00,18:00,平,0.60
1-12,18:00,22:00,峰,0.90
1-12,22:00,23:00,平,0.60
"""


@router.get("/prices")
def prices(visit: SignedIn, centre: str = "") -> Response:
    """Every version of prices; for operators the form of a new one, filled in with what is in force."""
    return _prices(visit, None, centre=centre)


@router.post("/prices")
def publish_prices(sent: Sent) -> Response:
    """Shows what the last days would have cost under the list, or publishes it."""
    visit, form = sent.visit, sent.form
    try:
        body = _list_of(form)
        if form.one("action") != "publish":
            return _prices(visit, typed(form), tried=visit.brain.try_prices(body | {"days": DAYS}))
        visit.brain.add_prices(body)
    except Problem as problem:
        return _prices(visit, typed(form), problem=refused(problem))
    return visit.go("/prices")


@router.get("/tariffs")
def tariffs(visit: Operator, centre: str = "") -> Response:
    """Every version of tariffs, and the form of a new one."""
    today = utc_now().astimezone(CHINA).date().isoformat()
    return _tariffs(visit, {"centre": centre, "csv": EXAMPLE, "as_of": today}, None)


@router.post("/tariffs")
def publish_tariff(sent: Sent) -> Response:
    """Publishes a tariff; what is refused stands beside its field."""
    visit, form = sent.visit, sent.form
    fields = typed(form)
    try:
        named = {name: fields.get(name) or None for name in ("centre", "region")}
        words = {name: fields.get(name, "") for name in ("csv", "source", "as_of", "note")}
        visit.brain.add_tariff(named | words | {"valid_from": _moment(form)})
    except Problem as problem:
        return _tariffs(visit, fields, refused(problem))
    return visit.go(f"/centres/{named['centre']}" if named["centre"] else "/tariffs")


def _prices(
    visit: Visit,
    fields: dict[str, str] | None,
    *,
    centre: str = "",
    tried: dict[str, Any] | None = None,
    problem: dict[str, Any] | None = None,
) -> Response:
    lists = visit.brain.price_lists()
    return visit.page(
        "prices.html",
        status=problem["status"] if problem else 200,
        lists=lists,
        fields=_begin(lists, centre) if fields is None else fields,
        tried=tried,
        centres=part(visit.brain.centres).value or [],
        names=organisation_names(visit),
        days=DAYS,
        problem=problem,
        wrong=(problem or {}).get("fields", {}),
    )


def _tariffs(visit: Visit, fields: dict[str, str], problem: dict[str, Any] | None) -> Response:
    return visit.page(
        "tariffs.html",
        status=problem["status"] if problem else 200,
        tariffs=visit.brain.tariffs(),
        fields=fields,
        centres=part(visit.brain.centres).value or [],
        problem=problem,
        wrong=(problem or {}).get("fields", {}),
    )


def _begin(lists: list[dict[str, Any]], centre: str) -> dict[str, str]:
    """The form begins with the newest list of the centre, else of all centres."""
    known = [one for one in lists if one["centre"] == centre] or [one for one in lists if not one["centre"]]
    if not known:
        return EMPTY | {"centre": centre}
    newest = known[0]
    kinds = "\n".join(f"{kind}={price}" for kind, price in newest["accelerator_hour"].items())
    amounts = {name: newest[name] for name in ("core_hour", "gib_hour", "gb_moved")}
    return EMPTY | amounts | {"accelerator_hour": kinds, "centre": centre}


def _list_of(form: Form) -> dict[str, Any]:
    """The price list of a form; amounts stay texts, empty ones are free. Raises InvalidInput."""
    fields = typed(form)
    amounts = {name: fields.get(name) or "0" for name in ("core_hour", "gib_hour", "gb_moved")}
    words = {name: fields.get(name, "") for name in ("centre", "note")}
    return amounts | words | {
        "accelerator_hour": pairs_of(fields, "accelerator_hour"), "valid_from": _moment(form),
    }  # fmt: skip


def _moment(form: Form) -> str | None:
    """The moment of a field, China's time; None: now. Raises InvalidInput."""
    text = form.one("valid_from")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=CHINA).isoformat()
    except ValueError:
        errors = [{"field": "valid_from", "value": text[:40], "reason": "应为日期和时刻，如 2027-01-01T00:00"}]
        raise InvalidInput("生效时间无法识别", errors=errors) from None
