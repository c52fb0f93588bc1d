"""HTTP routes of the inventory, the links between centres, and how centres were used."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.auth import Caller
from brain_kit.database import Database
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from compute_scheduler.api.centres import CentreId, Operator, Strict
from compute_scheduler.service import inventory, links, utilisation
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings

End = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="算力中心编号 id of the centre")]
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class NewInventory(BaseModel):
    """What a centre has beside its nodes; what is not known is left out."""

    model_config = Strict
    region: str = Field(pattern=r"^\d{6}$", description="行政区划代码 GB/T 2260", examples=["370303"])
    longitude: float | None = Field(None, ge=73, le=136)
    latitude: float | None = Field(None, ge=3, le=54)
    storage_tb: Amount | None = Field(None, description="存储量 TB")
    eflops: dict[Literal["fp64", "fp32", "fp16", "int8"], Amount] = Field({}, description="算力 EFLOPS，按精度")
    racks_built: int | None = Field(None, ge=0, le=10**7, description="已建机架数")
    racks_planned: int | None = Field(None, ge=0, le=10**7, description="规划机架数")
    dedicated: bool = Field(False, description="自建专用数据中心 self-built dedicated data centre")
    as_of: date = Field(description="数据日期 date of the figures")
    source: str = Field(min_length=1, max_length=300, description="出处 where the figures come from")


class NewLink(BaseModel):
    """A link between two centres."""

    model_config = Strict
    capacity_gbit_s: float = Field(gt=0, le=1e6, allow_inf_nan=False, description="带宽 Gbit/s")
    latency_ms: float | None = Field(None, ge=0, le=1e5, allow_inf_nan=False, description="往返时延 毫秒")
    note: str = Field("", max_length=300)
    as_of: date = Field(description="数据日期 date of the figures")


def inventory_routes(database: Database, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["inventory"])

    @router.get("/inventory", summary="存算力资源清单")
    def read_inventory(caller: Caller) -> dict[str, Any]:
        """Every centre with storage, EFLOPS, racks, nodes and health; sums by kind; links; what indicator L2P1 asks."""
        return inventory.read_inventory(database)

    @router.put("/centres/{centre}/inventory", summary="填写中心资源清单")
    def put_inventory(centre: CentreId, body: NewInventory, caller: Operator) -> dict[str, Any]:
        """Sets what a centre has beside the nodes that its agent reports."""
        return inventory.set_inventory(database, caller, centre, body.model_dump())

    @router.get("/links", summary="链路列表")
    def list_links(
        caller: Caller, days: Annotated[int, Query(ge=0, le=31, description="走势的天数 days of `course`")] = 0
    ) -> dict[str, Any]:
        """The links between centres: capacity, what they carry now, maintenance, what transfers have reserved."""
        return {"items": links.list_links(database, days), "next": None}

    @router.get("/links/{one}/{other}", summary="查看链路")
    def read_link(
        one: End, other: End, caller: Caller, days: Annotated[int, Query(ge=1, le=31, description="天数 days")] = 7
    ) -> dict[str, Any]:
        """One link: its course over the next days, and the bytes that it has carried on each of the last."""
        return links.read_link(database, settings, one, other, days)

    @router.put("/links/{one}/{other}", summary="登记链路")
    def put_link(one: End, other: End, body: NewLink, caller: Operator) -> dict[str, Any]:
        """Sets the link between two centres, the same both ways."""
        return links.set_link(database, caller, one, other, body.model_dump())

    @router.delete("/links/{one}/{other}", status_code=204, summary="取消链路")
    def delete_link(one: End, other: End, caller: Operator) -> None:
        """Forgets a link."""
        links.remove_link(database, caller, one, other)

    @router.get("/utilisation", summary="利用率与公平")
    def read_utilisation(
        caller: ActingCaller, days: Annotated[int, Query(ge=1, le=366, description="最近多少天 last days")] = 30
    ) -> dict[str, Any]:
        """Core hours of each centre by day against its capacity, and each tenant's part with Jain's index."""
        return utilisation.read_utilisation(database, Actor(caller), days)

    return router
