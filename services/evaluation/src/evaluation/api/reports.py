"""HTTP routes of reported values and their evidence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from evaluation.api.parts import ETAG, After, Analyst, Government, IfMatch, Limit, Number, Parts
from evaluation.domain.review import Action
from evaluation.service import reports


class ReportBody(BaseModel):
    """A value with its place. Numbers are numbers: "12" is refused."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cluster": "zibo", "period": "2025", "value": 3, "note": "见附件"}]},
    )

    cluster: str = Field(max_length=64)
    period: str = Field(max_length=40, description="2025, 2025Q3, 2025-10 or 2025-01..2025-06")
    value: Number | None = None
    text: str | None = Field(None, max_length=4000, description="for indicators that ask for a statement")
    note: str = Field("", max_length=2000)


class ReportEdit(BaseModel):
    """What changes; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    value: Number | None = None
    text: str | None = Field(None, max_length=4000)
    note: str | None = Field(None, max_length=2000)


class Note(BaseModel):
    """A word with an action; a return needs one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "附件缺少盖章页"}]})

    note: str = Field("", max_length=2000)
    points: Number | None = Field(None, description="0 to 100, by who confirms a statement; counts in the score")


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["reports"])
    database = parts.database

    @router.post("/indicator-sets/{set_id}/indicators/{code}/reports", status_code=201, summary="填报指标值")
    def create_report(set_id: str, code: str, caller: Analyst, body: ReportBody, response: Response) -> dict[str, Any]:
        """Begins a reported value as a draft of the caller's organisation."""
        made = reports.create_report(database, caller, set_id, code, body.model_dump())
        response.headers["Location"] = f"/v1/reports/{made['id']}"
        response.headers["ETag"] = f'"{made["version"]}"'
        return made

    @router.get("/reports", summary="填报列表")
    def list_reports(
        caller: Government,
        set_id: Annotated[str | None, Query(alias="set", max_length=64)] = None,
        indicator: Annotated[str | None, Query(max_length=64)] = None,
        cluster: Annotated[str | None, Query(max_length=64)] = None,
        state: Literal["draft", "submitted", "returned", "confirmed", "discarded"] | None = None,
        after: After = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Reported values, newest first; state=submitted lists what waits for review."""
        filters = {"set_id": set_id, "indicator": indicator, "cluster": cluster, "state": state}
        return reports.list_reports(database, caller, filters, after, limit)

    @router.get("/reports/{report}", summary="填报值")
    def get_report(report: str, caller: Government, response: Response) -> dict[str, Any]:
        """A reported value with evidence, review and history."""
        found = reports.get_report(database, caller, report)
        response.headers["ETag"] = f'"{found["version"]}"'
        return found

    @router.patch("/reports/{report}", summary="修改填报值", responses=ETAG)
    def edit_report(
        report: str, caller: Analyst, body: ReportEdit, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Changes a draft or a returned value."""
        given = body.model_dump(exclude_unset=True)
        changed = reports.edit_report(database, caller, report, given, if_match)
        response.headers["ETag"] = f'"{changed["version"]}"'
        return changed

    @router.post("/reports/{report}/{action}", summary="提交、撤回、确认、退回、作废")
    def act_on_report(
        report: str,
        action: Literal["submit", "withdraw", "confirm", "return", "discard"],
        caller: Analyst,
        body: Note | None = None,
    ) -> dict[str, Any]:
        """Moves a reported value on; who wrote or submitted it cannot confirm or return it."""
        chosen: Action = action
        given = body or Note.model_validate({})
        return reports.act_on_report(database, caller, report, chosen, given.note, given.points)

    return router
