"""HTTP routes of what this brain lends and borrows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import bearer_token
from brain_kit.database import Database
from brain_kit.openapi import gives
from brain_kit.problems import BadRequest
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from compute_scheduler.api.agent import Agent
from compute_scheduler.api.centres import CentreId, Operator
from compute_scheduler.api.loans import Figures, LoanId
from compute_scheduler.clients import CentreKeys, Owners
from compute_scheduler.service import centres, figures, lending

Strict = ConfigDict(extra="forbid")
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Amounts = Annotated[
    dict[str, Annotated[float, Field(allow_inf_nan=False, le=1e12)]],
    Field(max_length=20, description="cores、memory_mb 和加速卡型号到数量"),
]
Hours = Annotated[list[tuple[Clock, Clock]], Field(max_length=10, description="每天的时段（北京时间），空为全天")]
Notice = Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False, description="收回前的通知秒数")]
Reclaim = Annotated[
    Literal["wait", "stop"],
    Field(description="wait：等正在运行的结束；stop：通知期过后停止，本平台的作业缺位时也可收回"),
]
Title = Annotated[str, Field(min_length=1, max_length=100)]


class NewLoan(BaseModel):
    """Capacity to be lent."""

    model_config = Strict
    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["province-2026"])
    borrower: str = Field(pattern=r"^[0-9A-Z]{18}$", description="代表借入方平台的机构")
    title: Title
    amounts: Amounts
    hours: Hours = []
    from_at: AwareDatetime | None = None
    until_at: AwareDatetime | None = None
    reclaim: Reclaim = "wait"
    notice_s: Notice = 300.0


class LoanChange(BaseModel):
    """What changes of a loan; what is absent stays."""

    model_config = Strict
    title: Title | None = None
    amounts: Amounts | None = None
    hours: Hours | None = None
    from_at: AwareDatetime | None = None
    until_at: AwareDatetime | None = None
    reclaim: Reclaim | None = None
    notice_s: Notice | None = None
    state: Literal["open", "recalled"] | None = None


class Recall(BaseModel):
    """How what is lent is taken back."""

    model_config = Strict
    reclaim: Reclaim | None = None
    notice_s: Notice | None = None


def lending_routes(database: Database, keys: CentreKeys, owners: Owners) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/lending", tags=["lending"])

    @router.get("", summary="算力出借与借入")
    def read_lending(caller: Operator) -> dict[str, Any]:
        """What this brain lends and borrows, with what of it is in use now."""
        return lending.overview(database)

    @router.post("/loans", status_code=201, summary="出借算力")
    def add_loan(body: NewLoan, caller: Operator) -> dict[str, Any]:
        """Lends capacity to the organisation of another brain; make a key for its agent next."""
        owners.check(body.borrower, "borrower")
        return lending.make_loan(database, caller, body.model_dump())

    @router.get("/loans/{loan}", summary="出借详情")
    def get_loan(loan: LoanId, caller: Operator) -> dict[str, Any]:
        """A loan with its newest jobs."""
        return lending.get_loan(database, loan)

    @router.patch("/loans/{loan}", summary="调整出借")
    def change_loan(loan: LoanId, body: LoanChange, caller: Operator) -> dict[str, Any]:
        """Changes amounts, hours or terms; less is in force at once for new jobs. `until_at: null`: no end."""
        given = body.model_dump(exclude_unset=True)
        kept = {name: value for name, value in given.items() if value is not None or name in ("from_at", "until_at")}
        return lending.change_loan(database, caller, loan, kept)

    @router.post("/loans/{loan}/recall", status_code=202, summary="收回出借")
    def recall_loan(loan: LoanId, body: Recall, caller: Operator) -> dict[str, Any]:
        """Takes everything back: nothing new begins; what runs may end, or is stopped after the notice."""
        given = body.model_dump(exclude_none=True)
        return lending.change_loan(database, caller, loan, given | {"state": "recalled"})

    @router.post("/loans/{loan}/keys", status_code=201, summary="生成借入密钥")
    def make_loan_key(loan: LoanId, caller: Operator, request: Request) -> dict[str, Any]:
        """A key with which the borrower's agent uses this loan and does nothing else; shown once."""
        return lending.make_key(database, caller, keys, loan, bearer_token(request))

    @router.get("/statement", summary="双方用量对账", responses=gives("text/csv"))
    def read_lending_statement(
        caller: Operator,
        loan: Annotated[str, Query(max_length=40, description="出借编号 a loan")] = "",
        centre: Annotated[str, Query(max_length=40, description="借入中心 a centre that borrows")] = "",
        since: Annotated[AwareDatetime | None, Query(description="ended at or after")] = None,
        until: Annotated[AwareDatetime | None, Query(description="ended before")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        form: Annotated[Literal["json", "csv"], Query(alias="format", description="form of the answer")] = "json",
    ) -> Response:
        """What both brains say of the same attempts, and where they differ; of a loan or of a borrowing centre."""
        if bool(loan) == bool(centre):
            raise BadRequest("请给出 loan（借出）或 centre（借入）之一")
        found = figures.statement(database, loan=loan, centre=centre, since=since, until=until, limit=limit)
        if form == "csv":
            headers = {"Content-Disposition": 'attachment; filename="lending.csv"'}
            return Response(figures.as_csv(found), media_type="text/csv; charset=utf-8", headers=headers)
        return JSONResponse(found)

    return router


def partner_routes(database: Database) -> APIRouter:
    """What the agent of a centre in another brain does beside the work of every agent."""
    router = APIRouter(prefix="/v1/agents/{centre}", tags=["agents"])

    @router.post("/figures", summary="与出借方交换用量")
    def exchange_figures(centre: CentreId, body: Figures, caller: Agent) -> dict[str, Any]:
        """Keeps the lender's figures and answers this brain's that are newer."""
        centres.check_agent(database, caller, centre)
        told = [item.model_dump() for item in body.told]
        return figures.exchange(database, centre=centre, told=told, after=body.after)

    return router
