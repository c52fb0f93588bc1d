"""HTTP routes of batch runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller, Principal, bearer_token, require
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from algorithm_dev.service.runs import RunRequest, Runs

Runner = Annotated[Principal, Depends(require("operator", "analyst", "developer", "manager", "provider"))]
State = Literal[
    "accepted", "staged", "queued", "running", "computed", "registered", "pushed", "succeeded", "failed", "cancelled"
]
Column = Annotated[str, Field(max_length=128)]


class RunBody(BaseModel):
    """A component over a data set."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "dataset": "enterprise.energy_15min",
                    "into": "enterprise.energy_anomaly",
                    "filter": "ts >= '2026-10-01'",
                    "mapping": {"kwh": "energy_kwh"},
                    "parameters": {},
                    "key": ["ts"],
                }
            ]
        },
    )
    dataset: str = Field(max_length=130, description="warehouse.dataset that the rows come from")
    version: str | None = Field(None, max_length=40, description="its version; the newest when absent, then fixed")
    filter: str = Field("", max_length=10_000, description="condition over the data set's columns")
    mapping: dict[Column, Column] = Field({}, max_length=500, description="input column to column of the data set")
    parameters: dict[Column, str | bool | int | float] = Field({}, max_length=100)
    into: str = Field(max_length=130, description="warehouse.dataset of the result; made when it does not exist")
    key: list[Column] = Field([], max_length=20, description="output columns by which later runs replace rows")
    priority: Literal["low", "normal", "high"] = "normal"


def routes(runs: Runs) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["runs"])

    @router.post("/components/{name}/versions/{version}/runs", status_code=202, summary="批量运行组件")
    def create_run(
        name: str,
        version: str,
        body: RunBody,
        caller: Runner,
        request: Request,
        response: Response,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=150)] = None,
    ) -> dict[str, Any]:
        """Queues a job that runs the component on a fixed version of a data set; the result is a new data set."""
        asked = RunRequest(
            dataset=body.dataset,
            into=body.into,
            dataset_version=body.version,
            filter=body.filter,
            mapping=dict(body.mapping),
            parameters=dict(body.parameters),
            key=list(body.key),
            priority=body.priority,
        )
        made, _ = runs.create(caller, bearer_token(request), name, version, asked, idempotency_key)
        response.headers["Location"] = f"/v1/runs/{made['id']}"
        return made

    @router.get("/runs", summary="运行列表")
    def list_runs(
        caller: Caller,
        state: Annotated[State | None, Query()] = None,
        component: Annotated[str | None, Query(max_length=63)] = None,
        after: Annotated[str | None, Query(max_length=40, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Runs of one's organisation, newest first, each with its state and why."""
        return runs.page(caller, state=state, component=component, after=after, limit=limit)

    @router.get("/runs/{run_id}", summary="运行")
    def read_run(run_id: str, caller: Caller) -> dict[str, Any]:
        """A run: state, reason, steps, job, result."""
        return runs.read(caller, run_id)

    @router.post("/runs/{run_id}/cancel", status_code=202, summary="取消运行")
    def cancel_run(run_id: str, caller: Runner) -> dict[str, Any]:
        """Stops a run and its job; not any more once its rows are being written."""
        return runs.cancel(caller, run_id)

    return router
