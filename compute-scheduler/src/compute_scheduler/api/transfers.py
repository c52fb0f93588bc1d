"""HTTP routes of transfers: data on their way to centres."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.database import Database
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from compute_scheduler.api.centres import Operator, Strict
from compute_scheduler.service import transfer_desk
from compute_scheduler.service.tenancy import Actor

TransferId = Annotated[str, Path(pattern=r"^trf_[0-9A-Z]{26}$", description="传输编号 id of the transfer")]
Wanted = Literal["", "alive", "booked", "moving", "done", "failed", "cancelled"]


class Cancellation(BaseModel):
    """Why a transfer is stopped."""

    model_config = Strict
    reason: str = Field(min_length=1, max_length=200, description="原因 why; the jobs that wait for it show it")


def transfer_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/transfers", tags=["network"])

    @router.get("", summary="数据传输列表")
    def list_transfers(
        caller: ActingCaller,
        state: Annotated[Wanted, Query(description="alive：进行中 on their way")] = "",
        centre: Annotated[str, Query(max_length=40, description="只看去往这个中心的 to this centre")] = "",
        after: Annotated[str, Query(max_length=40, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Versions on their way to centres and those that have arrived, newest first: path, reservation, progress."""
        filters = {"state": state, "centre": centre}
        return transfer_desk.list_transfers(database, Actor(caller), filters, after, limit)

    @router.get("/{transfer}", summary="查看数据传输")
    def read_transfer(transfer: TransferId, caller: ActingCaller) -> dict[str, Any]:
        """One transfer."""
        return transfer_desk.get_transfer(database, Actor(caller), transfer)

    @router.post("/{transfer}/cancel", summary="取消数据传输")
    def cancel_transfer(transfer: TransferId, body: Cancellation, caller: Operator) -> dict[str, Any]:
        """Frees its links; the jobs that wait for it fail with the reason."""
        return transfer_desk.cancel_transfer(database, Actor(caller), transfer, body.reason)

    return router
