"""HTTP route of statistics."""

from __future__ import annotations

from typing import Any

from brain_kit.acting import ActingCaller
from fastapi import APIRouter

from data_hub.service.statistics import Statistics


def routes(statistics: Statistics) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["statistics"])

    @router.get("/statistics", summary="数据仓统计")
    def read_statistics(caller: ActingCaller) -> dict[str, Any]:
        """Tables, rows, bytes and data carriers of each warehouse and data set, as far as the caller may know them."""
        return statistics.read(caller)

    return router
