"""HTTP routes of simulations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from brain_kit.openapi import gives
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, Field

from compute_scheduler.api.centres import Operator, Strict
from compute_scheduler.api.policies import PolicyValues
from compute_scheduler.service import simulations
from compute_scheduler.settings import Settings

SimulationId = Annotated[str, Path(pattern=r"^sim_[0-9A-Z]{26}$", description="试算编号 id of the simulation")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(min_length=1, max_length=200)]


class NewSimulation(BaseModel):
    """A policy, and the jobs that it is tried on."""

    model_config = Strict
    title: str = Field("", max_length=100)
    policy: str = Field("default", max_length=40)
    values: PolicyValues = Field(
        PolicyValues(), description="改动的权重；让出不参与试算 weights changed; no preemption"
    )
    format: Literal["platform", "swf", "elasticflow", "openb"] = "platform"
    since: AwareDatetime | None = Field(None, description="platform：作业提交时间从 submitted at or after")
    until: AwareDatetime | None = Field(None, description="platform：作业提交时间到 submitted before")
    files: dict[FileName, Digest] = Field({}, max_length=50, description="日志文件：名称到 PUT /v1/files 的摘要")
    nodes: dict[FileName, Digest] = Field({}, max_length=1, description="openb：节点表，名称到摘要")
    seed: int = Field(0, ge=0, le=2**31, description="0 原样回放；否则提交时间各错开一分钟内；openb：次序与复制")
    limit: int | None = Field(None, ge=1, le=10**7, description="最多多少个作业")
    processors: int | None = Field(None, ge=1, le=10**7, description="swf：机器的处理器数")
    load: float = Field(0.8, gt=0, le=10, description="elasticflow：负载")
    staging_s: float = Field(600.0, ge=0, le=10**6, description="elasticflow：搬运秒数")


def simulation_routes(database: Database, objects: ObjectStore, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/simulations", tags=["simulations"])

    @router.get("", summary="试算列表")
    def list_simulations(
        caller: Operator,
        after: Annotated[str, Query(pattern=r"^(sim_[0-9A-Z]{26})?$")] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """Simulations, the newest first."""
        return simulations.list_simulations(database, after, limit)

    @router.post("", status_code=202, summary="试算一个策略")
    def make_simulation(body: NewSimulation, caller: Operator) -> dict[str, Any]:
        """Queues a policy to be tried on past jobs of the platform or on an uploaded log, beside a plain reference."""
        return simulations.make_simulation(
            database, settings, caller, body.model_dump() | {"values": body.values.model_dump(exclude_none=True)}
        )

    @router.get("/{simulation}", summary="试算")
    def get_simulation(simulation: SimulationId, caller: Operator) -> dict[str, Any]:
        """How far it is, and its result."""
        return simulations.get_simulation(database, simulation)

    @router.post("/{simulation}/cancel", status_code=202, summary="取消试算")
    def cancel_simulation(simulation: SimulationId, caller: Operator) -> dict[str, Any]:
        """Stops it."""
        return simulations.cancel_simulation(database, caller, simulation)

    @router.delete("/{simulation}", status_code=204, summary="删除试算")
    def delete_simulation(simulation: SimulationId, caller: Operator) -> None:
        """Forgets one that has ended."""
        simulations.remove_simulation(database, objects, caller, simulation)

    @router.get(
        "/{simulation}/schedule",
        summary="试算的排程",
        response_class=Response,
        responses=gives("application/json", "text/csv"),
    )
    def read_schedule(
        simulation: SimulationId,
        caller: Operator,
        request: Request,
        after: Annotated[str, Query(pattern=r"^[0-9]{0,9}$")] = "",
        limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    ) -> Response:
        """When and where each job ran, or which pods were placed, by policy and reference. `Accept: text/csv`: all."""
        if "text/csv" in request.headers.get("accept", ""):
            rows = simulations.schedule_csv(database, objects, simulation)
            headers = {"Content-Disposition": f'attachment; filename="{simulation}.csv"'}
            return ClosingStream(rows, media_type="text/csv; charset=utf-8", headers=headers)  # type: ignore[arg-type]
        found = simulations.read_schedule(database, objects, simulation, int(after or 0), limit)
        return JSONResponse(found)

    return router
