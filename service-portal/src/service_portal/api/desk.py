"""What operators watch: the whole platform, events and their lag, dead letters and their replay."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Principal, require
from brain_kit.service import Platform
from fastapi import APIRouter, Depends

from service_portal.service import operation

Operator = Annotated[Principal, Depends(require("operator"))]


def desk_routes(platform: Platform) -> APIRouter:
    """Routes of the operators' desk."""
    router = APIRouter(prefix="/v1", tags=["operation"])

    @router.get("/operations", summary="平台运行")
    def read_operations(caller: Operator) -> dict[str, Any]:
        """Whether the whole platform is well, what to look at, and the figures behind it."""
        return operation.overview(platform)

    @router.get("/events/lag", summary="事件积压")
    def read_event_lag(caller: Operator) -> dict[str, Any]:
        """Waiting events by service, group and topic."""
        return operation.event_lag(platform)

    @router.get("/events/dead", summary="死信")
    def list_dead_letters(caller: Operator) -> dict[str, Any]:
        """Events whose handling failed for good."""
        return operation.dead_letters(platform)

    @router.post("/events/dead/{service}/{dead_id}/replay", status_code=202, summary="重放死信")
    def replay_dead_letter(service: str, dead_id: int, caller: Operator) -> Any:
        """Queues a dead letter to be handled again."""
        return operation.replay(platform, service, str(dead_id))

    return router
