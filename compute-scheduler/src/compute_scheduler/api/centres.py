"""HTTP routes of centres, nodes, quotas and accounting."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.auth import Caller, Principal, bearer_token, require
from brain_kit.database import Database
from brain_kit.openapi import gives
from brain_kit.problems import BadRequest
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from compute_scheduler.clients import CentreKeys, Owners
from compute_scheduler.service import centres, quota_groups, tenants
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings

Operator = Annotated[Principal, Depends(require("operator"))]
CentreId = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Org = Annotated[str, Path(pattern=r"^[0-9A-Z]{18}$", description="统一社会信用代码")]
Strict = ConfigDict(extra="forbid")


Amounts = dict[str, Annotated[float, Field(allow_inf_nan=False, le=1e12)]]
GroupId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class NewCentre(BaseModel):
    """A centre to be registered."""

    model_config = Strict
    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["zibo-edge-1"])
    title: str = Field(min_length=1, max_length=100, examples=["淄博边缘中心一号"])
    kind: Literal["region", "industry", "edge"] = Field("edge", description="区域中心、行业中心、边缘中心")
    owner: str | None = Field(
        None, pattern=r"^[0-9A-Z]{18}$", description="所有者，收取其费用；空缺为调用者的组织 default: the caller's"
    )


class Change(BaseModel):
    """Whether new jobs start here."""

    model_config = Strict
    state: Literal["open", "drained"]


class NodeChange(BaseModel):
    """Whether new jobs start here."""

    model_config = Strict
    state: Literal["up", "drained"]


class NewQuota(BaseModel):
    """What a tenant may hold at one time."""

    model_config = Strict
    quota: Amounts = Field(max_length=20, examples=[{"cores": 16, "memory_mb": 65536}])
    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)
    group: GroupId | None = Field(None, description="借入借出的配额组 the group that it borrows from and lends to")
    lending_limit: Amounts = Field({}, max_length=20, description="空闲时最多借出；缺的不限 at most lent; absent: all")
    borrowing_limit: Amounts = Field({}, max_length=20, description="最多借入；缺的不限 at most borrowed; absent: any")


class NewGroup(BaseModel):
    """A group of tenants or of groups."""

    model_config = Strict
    title: str = Field(min_length=1, max_length=100, examples=["淄博市属部门"])
    parent: GroupId | None = Field(None, description="上级配额组 the group above")
    quota: Amounts = Field({}, max_length=20, description="成员配额之外共有的 in common, beside the members' quotas")
    lending_limit: Amounts = Field({}, max_length=20)
    borrowing_limit: Amounts = Field({}, max_length=20)


def centre_routes(database: Database, keys: CentreKeys, owners: Owners) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["centres"])

    @router.get("/centres", summary="算力中心列表")
    def list_centres(caller: Caller) -> dict[str, Any]:
        """Every centre with its nodes, their load and what jobs hold."""
        return {"items": centres.list_centres(database), "next": None}

    @router.post("/centres", status_code=201, summary="登记算力中心")
    def add_centre(body: NewCentre, caller: Operator) -> dict[str, Any]:
        """Registers a centre; its agent comes with a key of its own."""
        if body.owner is not None:
            owners.check(body.owner)
        return centres.make_centre(database, caller, centre=body.id, title=body.title, kind=body.kind, owner=body.owner)

    @router.get("/centres/{centre}", summary="算力中心")
    def get_centre(centre: CentreId, caller: Caller) -> dict[str, Any]:
        """A centre with its nodes."""
        return centres.get_centre(database, centre)

    @router.patch("/centres/{centre}", summary="停用或启用算力中心")
    def change_centre(centre: CentreId, body: Change, caller: Operator) -> dict[str, Any]:
        """A drained centre finishes what it has and gets nothing new."""
        return centres.set_centre_state(database, caller, centre, body.state)

    @router.post("/centres/{centre}/keys", status_code=201, summary="生成代理密钥")
    def make_centre_key(centre: CentreId, caller: Operator, request: Request) -> dict[str, Any]:
        """A key with which an agent works for this centre and does nothing else; shown once."""
        return centres.make_key(database, caller, keys, centre, bearer_token(request))

    @router.post("/centres/{centre}/fence", summary="声明中心失效")
    def fence_centre(centre: CentreId, caller: Operator) -> dict[str, Any]:
        """Declares the work of a silent centre lost, once its machines are known to be off."""
        return {"ended": centres.fence(database, caller, centre)}

    @router.get("/centres/{centre}/nodes", summary="节点列表")
    def list_nodes(centre: CentreId, caller: Caller) -> dict[str, Any]:
        """The nodes of a centre."""
        return {"items": centres.get_centre(database, centre)["nodes"], "next": None}

    @router.patch("/centres/{centre}/nodes/{node}", summary="停用或启用节点")
    def change_node(
        centre: CentreId,
        node: Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")],
        body: NodeChange,
        caller: Operator,
    ) -> dict[str, Any]:
        """A drained node finishes what it has and gets nothing new."""
        return centres.set_node_state(database, caller, centre, node, body.state)

    return router


def tenant_routes(database: Database, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["quotas"])

    @router.get("/tenants", summary="配额列表")
    def list_quotas(caller: Operator) -> dict[str, Any]:
        """Every tenant with a quota or usage."""
        return {"items": tenants.list_quotas(database), "next": None}

    @router.get("/tenants/{org}/quota", summary="配额")
    def get_quota(org: Org, caller: ActingCaller) -> dict[str, Any]:
        """A tenant's quota, what it holds now and its decayed usage."""
        return tenants.get_quota(database, settings, Actor(caller), org)

    @router.put("/tenants/{org}/quota", summary="设置配额")
    def put_quota(org: Org, body: NewQuota, caller: Operator) -> dict[str, Any]:
        """Sets what a tenant may hold at one time: cores, memory_mb, accelerators by kind."""
        return tenants.set_quota(database, settings, caller, org, body.model_dump())

    @router.delete("/tenants/{org}/quota", status_code=204, summary="取消单独的配额")
    def delete_quota(org: Org, caller: Operator) -> None:
        """Takes a tenant's own quota away."""
        tenants.remove_quota(database, caller, org)

    _group_routes(router, database)

    @router.get(
        "/accounting", summary="用量记录", response_class=Response, responses=gives("application/json", "text/csv")
    )
    def read_accounting(  # noqa: PLR0913 - the filters of a list
        caller: ActingCaller,
        request: Request,
        response: Response,
        since: Annotated[AwareDatetime | None, Query(description="ended at or after")] = None,
        until: Annotated[AwareDatetime | None, Query(description="ended before")] = None,
        centre: Annotated[str | None, Query(max_length=40)] = None,
        org: Annotated[str | None, Query(max_length=18, description="for operators: of one organisation")] = None,
        after: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Any:
        """One record an ended attempt: seconds of cores, memory, accelerators. `Accept: text/csv` gives all of them."""
        filters: dict[str, datetime | str | None] = {"since": since, "until": until, "centre": centre, "org": org}
        if since is not None and until is not None and since >= until:
            raise BadRequest("since 应早于 until")
        if "text/csv" in request.headers.get("accept", ""):
            rows = tenants.accounting_csv(database, Actor(caller), filters)
            headers = {"Content-Disposition": 'attachment; filename="accounting.csv"'}
            return ClosingStream(rows, media_type="text/csv; charset=utf-8", headers=headers)  # type: ignore[arg-type]
        return JSONResponse(tenants.accounting(database, Actor(caller), filters, after=after, limit=limit))

    return router


def _group_routes(router: APIRouter, database: Database) -> None:
    @router.get("/quota-groups", summary="配额组列表")
    def list_quota_groups(caller: Operator) -> dict[str, Any]:
        """Groups of tenants that lend each other what lies idle."""
        return {"items": quota_groups.list_groups(database), "next": None}

    @router.put("/quota-groups/{group}", summary="设置配额组")
    def put_quota_group(group: CentreId, body: NewGroup, caller: Operator) -> dict[str, Any]:
        """Makes or replaces a group; tenants join by their quota's `group`."""
        return quota_groups.put_group(database, caller, group, body.model_dump())

    @router.delete("/quota-groups/{group}", status_code=204, summary="删除配额组")
    def delete_quota_group(group: CentreId, caller: Operator) -> None:
        """Removes a group without members."""
        quota_groups.delete_group(database, caller, group)
