"""HTTP routes of advance reservations and maintenance windows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.database import Database
from brain_kit.problems import BadRequest
from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from compute_scheduler.api.centres import Operator, Strict
from compute_scheduler.clients import Owners
from compute_scheduler.service import reservations
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings

ReservationId = Annotated[str, Path(pattern=r"^rsv_[0-9A-Z]{26}$", description="编号 id")]
Named = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Uscc = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@=-]{0,119}$")]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=150, description="a repeat makes no second one")]


class Part(BaseModel):
    """What each part keeps on one node."""

    model_config = Strict
    cores: float = Field(gt=0, le=100_000, allow_inf_nan=False, description="核数，可到千分之一")
    memory_mb: int = Field(0, ge=0, le=100_000_000, description="内存，百万字节 10^6 bytes")
    accelerators: dict[Kind, Annotated[int, Field(ge=1, le=10_000)]] = Field(
        {}, max_length=8, description="加速卡：型号到块数，整块 whole devices by kind"
    )


class NewReservation(BaseModel):
    """Capacity kept for a time."""

    model_config = Strict
    kind: Literal["reservation", "maintenance"] = Field("reservation", description="预留，或维护窗口")
    centre: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["zibo-edge-1"])
    title: str = Field(min_length=1, max_length=100, examples=["汛期预报专用"])
    purpose: str = Field("", max_length=500, description="用途；只有运营方和受益机构看得到 seen by those it is for")
    start_at: AwareDatetime
    end_at: AwareDatetime
    orgs: list[Uscc] = Field([], max_length=50, description="供哪些机构的作业使用 organisations whose jobs may use it")
    priority: Literal["low", "normal", "high"] | None = Field(
        None, description="或供这一级优先级的作业使用 or jobs of this class, whoever submits them"
    )
    resources: Part | None = Field(None, description="每份的资源；空缺：整个节点 of each part; absent: whole nodes")
    count: int = Field(1, ge=1, le=100_000, description="份数，每份在一个节点上 parts, each on one node")
    nodes: list[Named] = Field(
        [], max_length=5000, description="节点名；空缺：中心里合适的节点，维护窗口则是整个中心 absent: any that fit"
    )
    running: Literal["leave", "requeue", "end"] = Field(
        "leave", description="维护开始时仍在运行的作业：留下、回到队列、结束 what becomes of jobs that still run"
    )


class Cancellation(BaseModel):
    """Why it is given up."""

    model_config = Strict
    reason: str = Field(min_length=1, max_length=200, description="原因 why")


def reservation_routes(database: Database, settings: Settings, owners: Owners) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/reservations", tags=["reservations"])

    @router.post("", status_code=201, summary="预留算力或设维护窗口")
    def add_reservation(
        body: NewReservation, caller: Operator, response: Response, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        """Keeps whole nodes, or parts on nodes that are chosen now; refused when other reservations are in the way."""
        asked = (_plain(body), idempotency_key)
        made, is_repeat = reservations.make(database, settings, Actor(caller), owners, asked)
        response.status_code = 200 if is_repeat else 201
        response.headers["Location"] = f"/v1/reservations/{made['id']}"
        return made

    @router.post("/preview", summary="预览预留的影响")
    def preview_reservation(body: NewReservation, caller: Operator) -> dict[str, Any]:
        """The nodes that would be chosen and the jobs that would be touched, running and waiting; nothing is kept."""
        return reservations.preview(database, settings, owners, _plain(body))

    @router.get("", summary="预留与维护窗口列表")
    def list_reservations(  # noqa: PLR0913 - the filters of a list
        caller: ActingCaller,
        kind: Annotated[Literal["", "reservation", "maintenance"], Query(description="预留或维护")] = "",
        centre: Annotated[str, Query(max_length=40)] = "",
        state: Annotated[
            Literal["", "live", "planned", "open", "over", "cancelled"],
            Query(description="live：未结束的 planned or open"),
        ] = "",
        org: Annotated[str, Query(max_length=18, description="只看供这个机构的 for this organisation")] = "",
        since: Annotated[AwareDatetime | None, Query(description="此后仍未结束 ends after")] = None,
        until: Annotated[AwareDatetime | None, Query(description="此前已开始 begins before")] = None,
        after: Annotated[str, Query(max_length=40, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """Newest first. Tenants see those that are for their jobs and all maintenance, operators all."""
        if since is not None and until is not None and since >= until:
            raise BadRequest("since 应早于 until")
        filters = {"kind": kind, "centre": centre, "state": state, "for_org": org, "since": since, "until": until}
        return reservations.list_all(database, Actor(caller), filters, after=after, limit=limit)

    @router.get("/{reservation}", summary="查看预留或维护窗口")
    def read_reservation(reservation: ReservationId, caller: ActingCaller) -> dict[str, Any]:
        """One, with the core hours that it has kept and those that went unused so far."""
        return reservations.get(database, Actor(caller), reservation)

    @router.post("/{reservation}/cancel", summary="取消预留或维护窗口")
    def cancel_reservation(reservation: ReservationId, body: Cancellation, caller: Operator) -> dict[str, Any]:
        """Gives back at once what it keeps, before it opens or while it is open; jobs that run go on."""
        return reservations.cancel(database, Actor(caller), reservation, body.reason)

    return router


def _plain(body: NewReservation) -> dict[str, Any]:
    return body.model_dump()
