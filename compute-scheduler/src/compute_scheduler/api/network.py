"""HTTP routes of the data network: windows of links, replicas, data rules, quotes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.auth import Principal, bearer_token, require
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from compute_scheduler.api.centres import CentreId, Operator, Strict
from compute_scheduler.api.inventory import End
from compute_scheduler.clients import DatasetRights
from compute_scheduler.service import network
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings

OperatorOrAgent = Annotated[Principal, Depends(require("operator", "agent"))]
Ruling = Annotated[Principal, Depends(require("operator", "analyst", "manager", "provider"))]
DATASET = r"^[a-z]+\.[a-z][a-z0-9_]*$"
VIEW = r"^(whole|open|[0-9A-Z]{18})$"
VERSION = r"^[A-Za-z0-9._-]{1,40}$"
Dataset = Annotated[str, Path(pattern=DATASET, max_length=120, description="数据集 warehouse.dataset")]
Version = Annotated[str, Path(pattern=VERSION, description="数据集版本 version of data-hub")]
Entry = Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,39}|\d{6})$")]


class NewWindow(BaseModel):
    """A time in which a link carries less, such as maintenance."""

    model_config = Strict
    start_at: AwareDatetime
    end_at: AwareDatetime
    gbit_s: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="时段内的带宽 Gbit/s，0 为中断")
    note: str = Field("", max_length=300)


class NewReplica(BaseModel):
    """A copy of a version of a data set at a centre."""

    model_config = Strict
    bytes: int = Field(ge=0, le=1 << 50, description="字节数")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="文件的 SHA-256")
    state: Literal["ready", "suspect", "bad"] = Field("ready", description="suspect、bad：不使用，直到重新登记")
    note: str = Field("", max_length=300)


class NewRule(BaseModel):
    """Where a data set may be."""

    model_config = Strict
    stays_in: list[Entry] = Field(min_length=1, max_length=100, description="中心编号或行政区划代码 GB/T 2260")
    reason: str = Field(min_length=1, max_length=300, description="依据 why")


def network_routes(database: Database, settings: Settings, rights: DatasetRights) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["network"])

    @router.post("/links/{one}/{other}/windows", status_code=201, summary="登记链路维护时段")
    def add_link_window(one: End, other: End, body: NewWindow, caller: Operator) -> dict[str, Any]:
        """Lets a link carry less between two moments; transfers are reckoned around it."""
        return network.add_window(database, caller, one, other, body.model_dump())

    @router.delete("/links/{one}/{other}/windows/{window}", status_code=204, summary="取消链路维护时段")
    def delete_link_window(
        one: End,
        other: End,
        window: Annotated[str, Path(max_length=40, description="维护时段 id of the window")],
        caller: Operator,
    ) -> None:
        """Takes a window back."""
        network.remove_window(database, caller, one, other, window)

    @router.get("/replicas", summary="副本目录")
    def list_replicas(
        caller: Operator,
        dataset: Annotated[str, Query(max_length=120, description="只看这个数据集 of this data set")] = "",
        centre: Annotated[str, Query(max_length=40, description="只看这个中心 at this centre")] = "",
        after: Annotated[str, Query(max_length=250, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Copies of versions at centres; what centres beside the warehouse hold by themselves is not listed."""
        return network.list_replicas(database, {"dataset": dataset, "centre": centre}, after, limit)

    @router.put("/replicas/{dataset}/{version}/{centre}", summary="登记副本")
    def put_replica(
        dataset: Dataset, version: Version, centre: CentreId, body: NewReplica, caller: OperatorOrAgent
    ) -> dict[str, Any]:
        """Registers a copy of the whole version at a centre: by operators, and by the centre's own agent."""
        key = {"dataset": dataset, "version": version, "centre": centre, "view": "whole"}
        return network.put_replica(database, caller, key, body.model_dump())

    @router.delete("/replicas/{dataset}/{version}/{centre}", status_code=204, summary="注销副本")
    def delete_replica(
        dataset: Dataset,
        version: Version,
        centre: CentreId,
        caller: OperatorOrAgent,
        view: Annotated[str, Query(pattern=VIEW, description="whole、open 或组织 USCC which rows it holds")] = "whole",
    ) -> None:
        """Forgets a copy."""
        key = {"dataset": dataset, "version": version, "centre": centre, "view": view}
        network.remove_replica(database, caller, key)

    @router.get("/data-rules", summary="数据规则列表")
    def list_data_rules(caller: ActingCaller) -> dict[str, Any]:
        """Where data sets may be, as operators and the data sets' own organisations have said."""
        return {"items": network.list_rules(database, Actor(caller)), "next": None}

    @router.put("/data-rules/{dataset}", summary="设置数据规则")
    def put_data_rule(dataset: Dataset, body: NewRule, caller: Ruling, request: Request) -> dict[str, Any]:
        """Keeps a data set in centres and regions: jobs that read it run there or nowhere."""
        return network.put_rule(database, rights, caller, bearer_token(request), dataset, body.model_dump(), settings)

    @router.delete("/data-rules/{dataset}", status_code=204, summary="取消数据规则")
    def delete_data_rule(dataset: Dataset, caller: Ruling, request: Request) -> None:
        """Takes a rule back: what the data set's class says holds again."""
        network.remove_rule(database, rights, caller, bearer_token(request), dataset, settings)

    @router.get("/data-quotes/{dataset}", summary="数据搬运估算")
    def read_data_quotes(
        dataset: Dataset,
        caller: ActingCaller,
        request: Request,
        version: Annotated[str | None, Query(pattern=VERSION, description="空缺：最新版本 the newest")] = None,
    ) -> dict[str, Any]:
        """For each centre: whether the data may go there, over which links, how many bytes, how long, at what price."""
        facts = network.readable(rights, caller, bearer_token(request), dataset, version)
        return network.quotes(database, settings, facts)

    return router
