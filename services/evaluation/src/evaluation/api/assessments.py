"""HTTP routes of the 晨星工厂 assessment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller
from brain_kit.openapi import gives
from brain_kit.problems import NotPermitted
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from evaluation.api.evidence_answers import disposition
from evaluation.api.parts import ETAG, TABLES, After, Analyst, Factory, IfMatch, Limit, Parts
from evaluation.api.reports import Note
from evaluation.domain.review import Action
from evaluation.service import assessments
from evaluation.service.exports import sheet_file
from evaluation.service.tables import assessment_table

REVIEWERS = ("operator", "analyst")


class AssessmentBody(BaseModel):
    """The year that an enterprise assesses itself for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"year": "2026"}]})

    year: str = Field(pattern=r"^\d{4}$")


class Mark(BaseModel):
    """An enterprise's own verdict on a criterion; null takes it back."""

    model_config = ConfigDict(extra="forbid")

    met: StrictBool | None
    note: str = Field("", max_length=2000)


class Marks(BaseModel):
    """Own verdicts by criterion id; criteria left out stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"marks": {"C01": {"met": True}}}]})

    marks: dict[str, Mark] = Field(min_length=1, max_length=200)


class Verdict(BaseModel):
    """A reviewer's verdict on a criterion; null leaves the enterprise's own."""

    model_config = ConfigDict(extra="forbid")

    reviewed: StrictBool | None
    review_note: str = Field("", max_length=2000)


class Verdicts(BaseModel):
    """Verdicts by criterion id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"marks": {"C01": {"reviewed": False}}}]},
    )

    marks: dict[str, Verdict] = Field(min_length=1, max_length=200)


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["factory assessments"])
    database = parts.database

    @router.post("/assessments", status_code=201, summary="建立晨星工厂评价")
    def create_assessment(caller: Factory, body: AssessmentBody, response: Response) -> dict[str, Any]:
        """Begins the caller's enterprise's assessment of a year."""
        made = assessments.create_assessment(database, caller, body.year)
        response.headers["Location"] = f"/v1/assessments/{made['id']}"
        response.headers["ETag"] = f'"{made["version"]}"'
        return made

    @router.get("/assessments", summary="晨星工厂评价列表")
    def list_assessments(
        caller: Caller,
        org: Annotated[str | None, Query(max_length=64)] = None,
        state: Literal["draft", "submitted", "returned", "confirmed"] | None = None,
        year: Annotated[str | None, Query(pattern=r"^\d{4}$")] = None,
        after: After = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Assessments, newest first; enterprises see their own."""
        return assessments.list_assessments(database, caller, org=org, state=state, year=year, after=after, limit=limit)

    @router.get("/assessments/{assessment}", summary="晨星工厂评价")
    def get_assessment(assessment: str, caller: Caller, response: Response) -> dict[str, Any]:
        """Every criterion with stars, marks and evidence; the level, and what is missing to the next one."""
        found = assessments.get_assessment(database, caller, assessment)
        response.headers["ETag"] = f'"{found["version"]}"'
        return found

    @router.patch("/assessments/{assessment}", summary="自评", responses=ETAG)
    def mark_criteria(
        assessment: str, caller: Factory, body: Marks, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Sets the enterprise's own verdicts on some criteria."""
        changed = assessments.mark(database, caller, assessment, body.model_dump()["marks"], if_match)
        response.headers["ETag"] = f'"{changed["version"]}"'
        return changed

    @router.patch("/assessments/{assessment}/review", summary="逐项审核", responses=ETAG)
    def review_criteria(
        assessment: str, caller: Analyst, body: Verdicts, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Sets the reviewer's verdicts on some criteria of a submitted assessment."""
        changed = assessments.review_marks(database, caller, assessment, body.model_dump()["marks"], if_match)
        response.headers["ETag"] = f'"{changed["version"]}"'
        return changed

    @router.get(
        "/assessments/{assessment}/export", summary="导出评价表", response_class=Response, responses=gives(*TABLES)
    )
    def export_assessment(
        assessment: str, caller: Caller, form: Annotated[Literal["xlsx", "csv"], Query(alias="format")] = "xlsx"
    ) -> Response:
        """The table of criteria in the document's form, with stars and marks."""
        sheet, name = assessment_table(database, caller, assessment)
        content, media = sheet_file(sheet, form)
        return Response(content, media_type=media, headers={"Content-Disposition": disposition(f"{name}.{form}")})

    @router.post("/assessments/{assessment}/{action}", summary="提交、撤回、确认、退回")
    def act_on_assessment(
        assessment: str,
        action: Literal["submit", "withdraw", "confirm", "return"],
        caller: Caller,
        body: Note | None = None,
    ) -> dict[str, Any]:
        """The enterprise submits or withdraws; a department's analyst or an operator confirms or returns."""
        wanted = REVIEWERS if action in ("confirm", "return") else ("manager", "member")
        if not caller.has(*wanted):
            raise NotPermitted(f"需要角色 {'、'.join(wanted)}，当前凭据没有", required=list(wanted))
        chosen: Action = action
        return assessments.act(database, caller, assessment, chosen, body.note if body else "")

    return router
