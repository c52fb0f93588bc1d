"""The 晨星工厂 assessment: the list, one factory with its 72 criteria, and the rule from stars to level."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from brain_kit.clock import utc_now
from brain_kit.problems import InvalidInput
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.evaluation_api import EvaluationApi
from service_portal.portal.exports import as_file, streamed
from service_portal.portal.formats import CHINA
from service_portal.portal.parts import part
from service_portal.portal.routes.indicators import FACTORY_SET, MEDIA
from service_portal.portal.security import Form
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
PAGE = 50
LEVELS = ("1", "2", "3", "4", "5")
VERDICTS = {"yes": True, "no": False, "": None}
COLUMNS = ("id", "org", "org_name", "year", "state", "level", "met", "answered", "submitted_at")


@router.get("/factories")
def factories(visit: SignedIn, state: str = "", year: str = "", after: str = "") -> Response:
    """Assessments with their level; an enterprise sees and begins its own."""
    return _list_page(visit, state, year, after)


def _list_page(
    visit: Visit, state: str = "", year: str = "", after: str = "", status: int = 200, **extra: Any
) -> Response:
    api = EvaluationApi(visit.brain)
    page = part(lambda: api.assessments(state=state, year=year, after=after, limit=PAGE))
    context = {"problem": None} | extra
    now = utc_now().astimezone(CHINA).year
    return visit.page(
        "factories.html",
        status=status,
        page=page,
        rule=part(api.level_rule),
        state=state,
        year=year,
        years=[str(now - back) for back in range(4)],
        is_factory=visit.person.has("manager", "member"),
        may_edit_rule=visit.person.has("operator", "analyst"),
        factory_set=FACTORY_SET,
        synthetic=_synthetic(visit),
        **context,
    )


@router.get("/factories.{kind}")
def factories_file(visit: SignedIn, kind: Literal["csv", "xlsx"], state: str = "", year: str = "") -> Response:
    """The assessments of the page."""
    page = EvaluationApi(visit.brain).assessments(state=state, year=year, limit=500)
    items = [item | item["result"] for item in page["items"]]
    return as_file(kind, "factories", COLUMNS, items)


@router.post("/factories")
def create(sent: Sent) -> Response:
    """Begins an assessment of one's own enterprise."""
    made = part(lambda: EvaluationApi(sent.visit.brain).create_assessment(sent.form.one("year")))
    if made.problem:
        return _list_page(sent.visit, status=int(made.problem["status"]), problem=made.problem)
    return sent.visit.go(f"/factories/{quote(str((made.value or {})['id']))}")


@router.post("/factories/rule")
def save_rule(sent: Sent) -> Response:
    """Saves the rule from stars to level."""
    visit, form = sent.visit, sent.form

    def save() -> Any:
        body = {
            "method": form.one("method"),
            "shares": {level: _share(form, f"share-{level}") for level in LEVELS if form.one(f"share-{level}")},
            "thresholds": {level: _count(form, f"stars-{level}") for level in LEVELS if form.one(f"stars-{level}")},
            "note": form.one("note"),
        }
        return EvaluationApi(visit.brain).put_level_rule(body, form.one("version"))

    saved = part(save)
    if saved.problem:
        return _list_page(visit, status=int(saved.problem["status"]), problem=saved.problem)
    return visit.go("/factories#rule")


@router.get("/factories/{assessment}")
def factory(visit: SignedIn, assessment: str) -> Response:
    """One assessment: level, what is missing to the next one, every criterion with stars, marks and evidence."""
    return _page(visit, assessment)


def _page(visit: Visit, assessment: str, status: int = 200, **extra: Any) -> Response:
    found = EvaluationApi(visit.brain).assessment(assessment)
    reviews = visit.person.has("operator", "analyst") and "confirm" in found["actions"]
    marks = visit.person.has("manager", "member") and "edit" in found["actions"]
    context = {"problem": None} | extra
    synthetic = found["org"] in _synthetic(visit)
    return visit.page(
        "factory.html", status=status, found=found, reviews=reviews, marks=marks, synthetic=synthetic, **context
    )


def _synthetic(visit: Visit) -> set[str]:
    """Organisations that are registered as 合成数据, of those that the person may see."""
    known = part(lambda: visit.brain.organisations(kind="enterprise")["items"]).value or []
    return {str(item["uscc"]) for item in known if item.get("synthetic")}


@router.get("/factories/{assessment}/export.{kind}")
def factory_file(visit: SignedIn, assessment: str, kind: Literal["xlsx", "csv"]) -> Response:
    """The table of criteria in the document's form with stars and marks."""
    stream = EvaluationApi(visit.brain).export_assessment(assessment, kind)
    return streamed(stream, MEDIA[kind], f"factory-{assessment}.{kind}")


@router.post("/factories/{assessment}/marks")
def save_marks(sent: Sent, assessment: str) -> Response:
    """Saves the enterprise's own marks, or the reviewer's verdicts: those that the form holds."""
    visit, form = sent.visit, sent.form
    api = EvaluationApi(visit.brain)
    own = {
        name.removeprefix("met-"): {
            "met": VERDICTS.get(form.one(name)),
            "note": form.one("note-" + name.removeprefix("met-")),
        }
        for name in form
        if name.startswith("met-")
    }
    verdicts = {
        name.removeprefix("reviewed-"): {
            "reviewed": VERDICTS.get(form.one(name)),
            "review_note": form.one("review-note-" + name.removeprefix("reviewed-")),
        }
        for name in form
        if name.startswith("reviewed-")
    }
    version = form.one("version")
    saved = part(lambda: api.mark(assessment, own, version) if own else api.review(assessment, verdicts, version))
    if saved.problem:
        return _page(visit, assessment, int(saved.problem["status"]), problem=saved.problem)
    return visit.go(f"/factories/{quote(assessment)}")


@router.post("/factories/{assessment}/act")
def act(sent: Sent, assessment: str) -> Response:
    """Submits, withdraws, confirms or returns."""
    visit, form = sent.visit, sent.form
    action = form.one("action")
    if action not in ("submit", "withdraw", "confirm", "return"):
        raise InvalidInput("没有这个操作。")
    done = part(lambda: EvaluationApi(visit.brain).act("assessments", assessment, action, form.one("note")))
    if done.problem:
        return _page(visit, assessment, int(done.problem["status"]), problem=done.problem)
    return visit.go(f"/factories/{quote(assessment)}")


def _share(form: Form, name: str) -> float:
    """A share written in percent."""
    try:
        return float(form.one(name).removesuffix("%")) / 100
    except ValueError as error:
        raise InvalidInput("比例应为百分数，如 90", errors=[{"field": name, "reason": "应为 0 到 100 的数"}]) from error


def _count(form: Form, name: str) -> int:
    try:
        return int(form.one(name))
    except ValueError as error:
        raise InvalidInput("星数应为整数", errors=[{"field": name, "reason": "应为整数"}]) from error
