"""HTTP routes of clusters and runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from evaluation.api.parts import After, Analyst, Government, Limit, Operator, Parts
from evaluation.service import clusters, requests

ClusterId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class ClusterBody(BaseModel):
    """What belongs to a cluster: a region, a chain, or the enterprises of a chain in a region."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "示例市高端装备", "region": "3703", "chain": "equipment"}]},
    )

    name: str = Field(min_length=1, max_length=100)
    region: str | None = Field(
        None, pattern=r"^(\d{2}|\d{4}|\d{6})$", description="GB/T 2260 prefix: 37, 3703 or 370303"
    )
    chain: str | None = Field(None, pattern=r"^[^\x00-\x1f]{1,64}$", description="chain_id of the products")
    synthetic: bool = Field(False, description="shown as 合成数据 wherever figures of the cluster stand")


class RunBody(BaseModel):
    """What is to be computed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cluster": "zibo", "set": "construction", "periods": ["2025", "2026-10"]}]},
    )

    cluster: str = Field(max_length=64)
    set: str | None = Field(None, max_length=64, description="empty: every set")
    indicators: list[str] | None = Field(None, max_length=100, description="codes or ids of the set; empty: all")
    periods: list[str] | None = Field(None, min_length=1, description="empty: the month ends that are kept up to date")


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["evaluation"])
    database = parts.database

    @router.get("/clusters", summary="集群列表")
    def list_clusters(caller: Government) -> dict[str, Any]:
        """Every cluster that indicators are computed for."""
        return {"items": clusters.list_clusters(database), "next": None}

    @router.get("/clusters/{cluster}", summary="集群")
    def get_cluster(cluster: str, caller: Government) -> dict[str, Any]:
        """One cluster: region prefix, chain, or both."""
        return clusters.get_cluster(database, cluster)

    @router.put("/clusters/{cluster}", summary="登记或修改集群")
    def put_cluster(cluster: str, caller: Operator, body: ClusterBody, response: Response) -> dict[str, Any]:
        """Registers a cluster; its indicators are computed in the background."""
        datasets = sorted(requests.datasets_read())
        made, is_new = clusters.put_cluster(database, caller, cluster, body.model_dump(), datasets)
        response.status_code = 201 if is_new else 200
        return made

    @router.delete("/clusters/{cluster}", status_code=204, summary="移除集群")
    def delete_cluster(cluster: str, caller: Operator) -> None:
        """Removes a cluster that nobody has reported values for."""
        clusters.delete_cluster(database, caller, cluster)

    @router.post("/runs", status_code=202, summary="计算指标")
    def request_run(caller: Analyst, body: RunBody, response: Response) -> dict[str, Any]:
        """Queues a computation over fixed versions of the data sets; the answer tells where its progress stands."""
        made = requests.request_run(database, caller, body.model_dump(), parts.settings)
        response.headers["Location"] = f"/v1/runs/{made['id']}"
        return made

    @router.get("/runs", summary="计算任务列表")
    def list_runs(
        caller: Government,
        cluster: Annotated[str | None, Query(max_length=64)] = None,
        state: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None,
        after: After = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Runs, newest first, with progress and the reason of their state."""
        return requests.list_runs(database, cluster=cluster, state=state, after=after, limit=limit)

    @router.get("/runs/{run}", summary="计算任务")
    def get_run(run: str, caller: Government) -> dict[str, Any]:
        """A run: state, reason, values done of all, versions that it reads."""
        return requests.get_run(database, run)

    @router.post("/runs/{run}/cancel", summary="取消计算")
    def cancel_run(run: str, caller: Analyst) -> dict[str, Any]:
        """Ends a run early; what it has written stays."""
        return requests.cancel_run(database, caller, run)

    return router
