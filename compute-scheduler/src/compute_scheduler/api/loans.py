"""HTTP routes by which another brain's agent uses what is lent to it."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Principal, require
from brain_kit.database import Database
from brain_kit.openapi import gives, takes
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from compute_scheduler.api.agent import AttemptId, AttemptPath
from compute_scheduler.api.files import OCTETS, Digest, file_answer, received_body
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import figures, lending
from compute_scheduler.service.errors import FileUnknown
from compute_scheduler.service.files import Files
from compute_scheduler.service.lent import Lent
from compute_scheduler.service.tenancy import Actor

Borrower = Annotated[Principal, Depends(require("agent"))]
LoanId = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="出借编号 id of the loan")]
BrainId = Annotated[str, Field(pattern=r"^brn_[0-9A-Z]{26}$")]
Mark = Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9.-]*$")]
Strict = ConfigDict(extra="forbid")
MOST_NAMED = 5000
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Look(BaseModel):
    """What the borrower holds."""

    model_config = Strict
    brain: BrainId | None = Field(None, description="借入方平台的编号 id of the borrowing brain, once it is known")
    mark: Mark = Field("", description="借入中心的标记 mark of the borrower's centre; without it no strays are told")
    attempts: list[AttemptId] = Field([], max_length=MOST_NAMED)


class BorrowedJob(BaseModel):
    """An attempt of the borrower as a job here."""

    model_config = Strict
    attempt: AttemptId
    mark: Mark
    hops: list[BrainId] = Field(min_length=1, max_length=10, description="作业已离开的平台，起点在前")
    spec: JobSpec


class Figure(BaseModel):
    """What one brain says that an attempt used."""

    model_config = Strict
    attempt: AttemptId
    job: str = Field(max_length=40)
    outcome: str = Field(max_length=16)
    wall_s: Seconds
    core_s: Seconds
    memory_mb_s: Seconds
    accelerator_s: dict[str, Seconds] = Field({}, max_length=20)
    amount: str = Field(pattern=r"^-?\d{1,14}\.\d{6}$")
    price_list: str | None = Field(None, max_length=40)
    ended_at: str = Field(max_length=40)


class Figures(BaseModel):
    """The partner's figures; `after` is the number that the last answer gave as `next`."""

    model_config = Strict
    told: list[Figure] = Field([], max_length=1000)
    after: int = Field(0, ge=0)


def loan_routes(database: Database, lent: Lent, files: Files) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/loans/{loan}", tags=["loans"])

    @router.post("/looks", summary="借入方查看")
    def look_at_loan(loan: LoanId, body: Look, caller: Borrower) -> dict[str, Any]:
        """What is lent now as nodes, and how the named attempts stand."""
        lending.borrower_of(database, caller, loan)
        return lent.look(loan, body.brain, body.mark, body.attempts)

    @router.post("/jobs", status_code=201, summary="借入方提交")
    def submit_borrowed(loan: LoanId, body: BorrowedJob, caller: Borrower) -> dict[str, Any]:
        """Queues an attempt of the other brain here; a repeat answers the same job."""
        borrower = lending.borrower_of(database, caller, loan)
        return lent.submit(borrower, loan, body.attempt, body.mark, body.hops, body.spec)

    @router.post("/jobs/{attempt}/begin", summary="借入方同意开始")
    def begin_borrowed(loan: LoanId, attempt: AttemptPath, caller: Borrower) -> dict[str, Any]:
        """The other brain has granted the attempt: its copy here, which waits, may begin."""
        borrower = lending.borrower_of(database, caller, loan)
        return lent.begin(borrower, loan, attempt)

    @router.post("/jobs/{attempt}/cancel", status_code=202, summary="借入方取消")
    def cancel_borrowed(loan: LoanId, attempt: AttemptPath, caller: Borrower) -> dict[str, Any]:
        """Ends the job of an attempt."""
        borrower = lending.borrower_of(database, caller, loan)
        return lent.cancel(borrower, loan, attempt)

    @router.get("/jobs/{attempt}/log", summary="借入方读日志", response_class=Response, responses=gives(OCTETS))
    def read_borrowed_log(
        loan: LoanId,
        attempt: AttemptPath,
        caller: Borrower,
        offset: Annotated[int, Query(ge=0, description="first byte")] = 0,
        limit: Annotated[int, Query(ge=1, le=1 << 20)] = 1 << 18,
    ) -> Response:
        """A stretch of what the job printed."""
        lending.borrower_of(database, caller, loan)
        return Response(lent.read_log(loan, attempt, offset, limit), media_type=OCTETS)

    @router.put("/files", status_code=201, summary="借入方交输入文件", openapi_extra=takes(OCTETS))
    async def put_borrowed_file(loan: LoanId, caller: Borrower, request: Request) -> dict[str, Any]:
        """Keeps an input as a file of the borrower; its address is its digest, so a repeat is harmless."""
        borrower = await run_in_threadpool(lending.borrower_of, database, caller, loan)
        received = await received_body(files, request)
        try:
            return await run_in_threadpool(files.keep, borrower, borrower.org, received)
        finally:
            received.close()

    @router.get(
        "/jobs/{attempt}/outputs/{sha256}",
        summary="借入方取输出文件",
        response_class=Response,
        responses=gives(OCTETS),
    )
    def get_borrowed_output(loan: LoanId, attempt: AttemptPath, sha256: Digest, caller: Borrower) -> Response:
        """An output of the attempt's job."""
        borrower = lending.borrower_of(database, caller, loan)
        if not lent.output(loan, attempt, sha256):
            raise FileUnknown(f"{sha256} 不是运行 {attempt} 的输出")
        stream, size = files.open(Actor(borrower), sha256)
        return file_answer(stream, size)

    @router.post("/figures", summary="与借入方交换用量")
    def exchange_loan_figures(loan: LoanId, body: Figures, caller: Borrower) -> dict[str, Any]:
        """Keeps the borrower's figures and answers this brain's that are newer."""
        lending.borrower_of(database, caller, loan)
        told = [item.model_dump() for item in body.told]
        return figures.exchange(database, loan=loan, told=told, after=body.after)

    return router
