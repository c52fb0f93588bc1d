"""HTTP routes of jobs and their logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.auth import bearer_token
from brain_kit.database import Database
from brain_kit.openapi import gives
from brain_kit.problems import InvalidInput
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from compute_scheduler.api.centres import Operator
from compute_scheduler.domain.spec import MOST_MEMBERS, JobSpec
from compute_scheduler.domain.states import JOB_STATES
from compute_scheduler.service import control, estimates, logs
from compute_scheduler.service.submit import Submissions
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings

LOOK_EVERY_S = 0.3
AGAIN = gives("application/json")
SIGN_OF_LIFE_S = 15.0
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=150, description="a repeat makes no second job")]
States = Annotated[str, Query(max_length=100, description="one or more states, comma-separated")]


class JobBatch(BaseModel):
    """Many jobs, taken all or none."""

    model_config = ConfigDict(extra="forbid")
    jobs: list[JobSpec] = Field(min_length=1, max_length=500)


class NewPriority(BaseModel):
    """How urgent a job is."""

    model_config = ConfigDict(extra="forbid")
    priority: Literal["low", "normal", "high"]


def job_routes(database: Database, submissions: Submissions, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    _cost_routes(router, database, submissions, settings)

    @router.post("/jobs", status_code=201, summary="提交作业", responses=AGAIN)
    def submit_job(
        spec: JobSpec,
        caller: ActingCaller,
        request: Request,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> dict[str, Any]:
        """Queues a job. Whatever is known to be impossible is refused here, field by field."""
        token = bearer_token(request)
        rows, is_repeat = submissions.submit(Actor(caller), [spec], token=token, idempotency_key=idempotency_key)
        response.status_code = 200 if is_repeat else 201
        response.headers["Location"] = f"/v1/jobs/{rows[0]['id']}"
        return control.shown(rows[0])

    @router.post("/job-batches", status_code=201, summary="批量提交作业", responses=AGAIN)
    def submit_jobs(
        batch: JobBatch,
        caller: ActingCaller,
        request: Request,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> dict[str, Any]:
        """Queues up to 500 jobs in one transaction; one that is refused refuses all, `errors` name its number."""
        token = bearer_token(request)
        rows, is_repeat = submissions.submit(Actor(caller), batch.jobs, token=token, idempotency_key=idempotency_key)
        response.status_code = 200 if is_repeat else 201
        return {"items": [{"id": row["id"], "name": row["name"], "state": row["state"]} for row in rows], "next": None}

    @router.get("/jobs", summary="作业列表")
    def list_jobs(  # noqa: PLR0913 - the filters of a list
        caller: ActingCaller,
        state: States = "",
        name: Annotated[str, Query(max_length=100, description="part of the name")] = "",
        label: Annotated[str, Query(max_length=300, description="NAME=VALUE")] = "",
        centre: Annotated[str, Query(max_length=40)] = "",
        org: Annotated[str, Query(max_length=18, description="for operators: of one organisation")] = "",
        costs: Annotated[bool, Query(description="with `expected` and `charged` costs")] = False,
        after: Annotated[str, Query(max_length=60, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Jobs, newest first, each with its state and why; `counts` are those of all jobs by state."""
        filters = {"states": _states(state), "name": name, "label": _label(label), "centre": centre, "org": org}
        page = control.list_jobs(database, Actor(caller), filters, after=after, limit=limit)
        return estimates.with_costs(database, settings, page) if costs else page

    @router.get("/jobs/{job_id}", summary="作业")
    def get_job(job_id: str, caller: ActingCaller) -> dict[str, Any]:
        """A job with its specification and attempts."""
        return control.get_job(database, Actor(caller), job_id)

    @router.post("/jobs/{job_id}/cancel", status_code=202, summary="取消作业")
    def cancel_job(job_id: str, caller: ActingCaller) -> dict[str, Any]:
        """Cancels a job: at once while it waits, else when its command has ended."""
        return control.cancel(database, Actor(caller), job_id)

    @router.post("/jobs/{job_id}/retry", status_code=202, summary="重试作业")
    def retry_job(job_id: str, caller: ActingCaller) -> dict[str, Any]:
        """Queues a failed or cancelled job again."""
        return control.retry(database, Actor(caller), job_id)

    @router.get(
        "/jobs/{job_id}/logs",
        summary="作业日志",
        response_class=Response,
        responses=gives("text/plain", "text/event-stream"),
    )
    async def read_job_log(  # noqa: PLR0913 - what stretch of which log
        job_id: str,
        caller: ActingCaller,
        request: Request,
        attempt: Annotated[int | None, Query(ge=1, description="its last attempt when absent")] = None,
        rank: Annotated[int, Query(ge=0, lt=MOST_MEMBERS, description="which member of a gang")] = 0,
        offset: Annotated[int, Query(ge=0, description="first byte")] = 0,
        limit: Annotated[int, Query(ge=1, le=1 << 20)] = logs.PAGE_BYTES,
        last_event_id: Annotated[str, Header(max_length=60)] = "",
        follow: Annotated[bool, Query(description="server-sent events until the job has ended")] = False,
    ) -> Response:
        """The log as text from an offset (headers X-Log-Next, X-Log-Ended), or live as server-sent events."""
        actor = Actor(caller)
        if follow or "text/event-stream" in request.headers.get("accept", ""):
            await run_in_threadpool(control.get_job, database, actor, job_id)
            follower = logs.Follower(database, actor, job_id, last=last_event_id, rank=rank)
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return StreamingResponse(_followed(follower), media_type="text/event-stream", headers=headers)
        part = await run_in_threadpool(
            logs.read, database, actor, job_id, epoch=attempt, rank=rank, offset=offset, limit=limit
        )
        headers = {
            "X-Log-Attempt": str(part["attempt"] or 0),
            "X-Log-Next": str(part["next"]),
            "X-Log-Ended": str(part["ended"]).lower(),
            "X-Content-Type-Options": "nosniff",
        }
        return Response(part["data"], media_type="text/plain; charset=utf-8", headers=headers)

    return router


def _cost_routes(router: APIRouter, database: Database, submissions: Submissions, settings: Settings) -> None:
    @router.post("/job-estimates", summary="作业预估", responses=AGAIN)
    def estimate_job(spec: JobSpec, caller: ActingCaller, request: Request) -> dict[str, Any]:
        """When a job could start and what it would cost at each centre; refuses what submitting it would refuse."""
        asked = (Actor(caller), spec, bearer_token(request))
        return estimates.estimate(database, settings, submissions, asked)

    @router.put("/jobs/{job_id}/priority", summary="修改作业优先级")
    def set_job_priority(job_id: str, body: NewPriority, caller: Operator) -> dict[str, Any]:
        """Changes the priority of a job that waits."""
        return control.set_priority(database, Actor(caller), job_id, body.priority)

    @router.get("/jobs/{job_id}/costs", summary="作业的费用与碳排放")
    def get_job_costs(job_id: str, caller: ActingCaller) -> dict[str, Any]:
        """Predicted start, expected costs at each centre while it waits, and what was charged once it ran."""
        return estimates.costs_of(database, settings, Actor(caller), job_id)


async def _followed(follower: logs.Follower) -> AsyncIterator[bytes]:
    spoke = time.monotonic()
    while not follower.is_over:
        news = await run_in_threadpool(follower.step)
        for event in news:
            yield event
            spoke = time.monotonic()
        if news:
            continue
        if time.monotonic() - spoke > SIGN_OF_LIFE_S:
            yield b": alive\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(LOOK_EVERY_S)


def _states(text: str) -> list[str]:
    wanted = [part for part in text.split(",") if part]
    unknown = [part for part in wanted if part not in JOB_STATES]
    if unknown:
        allowed = "、".join(JOB_STATES)
        errors = [
            {"field": "state", "in": "query", "value": part, "reason": f"应为 {allowed} 之一"} for part in unknown
        ]
        raise InvalidInput(f"没有状态 {unknown[0][:30]}，可用：{allowed}", errors=errors)
    return wanted


def _label(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    name, sign, value = text.partition("=")
    if not sign or not name or '"' in name:
        raise InvalidInput("label 应写成 名=值", errors=[{"field": "label", "in": "query", "value": text[:60]}])
    return name, value
