"""HTTP routes of indicator sets: tables, lineage, series, comparison, exports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller
from brain_kit.openapi import gives
from fastapi import APIRouter, Query, Response

from evaluation.api.evidence_answers import disposition
from evaluation.api.parts import TABLES, Cluster, Government, Parts, Period
from evaluation.service import indicators, lineage, series
from evaluation.service.exports import sheet_file
from evaluation.service.tables import indicator_table


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/indicator-sets", tags=["indicators"])
    database = parts.database

    @router.get("", summary="指标体系列表")
    def list_sets(caller: Caller) -> dict[str, Any]:
        """The official sets as the documents print them, and the criteria of the 晨星工厂 assessment."""
        return {"items": indicators.list_sets(), "next": None}

    @router.get("/{set_id}/indicators", summary="指标与数值")
    def list_indicators(
        set_id: str,
        caller: Caller,
        period: Period = None,
        cluster: Cluster = None,
        trend: Annotated[bool, Query(description="with the last twelve values of each")] = False,
    ) -> dict[str, Any]:
        """Every indicator with its value, or the reason why there is none; others than government see no values."""
        return indicators.set_table(database, caller, set_id, period=period, cluster=cluster, trend=trend)

    @router.get("/{set_id}/indicators/{code}", summary="一项指标")
    def get_indicator(
        set_id: str, code: str, caller: Caller, period: Period = None, cluster: Cluster = None
    ) -> dict[str, Any]:
        """One indicator with its trend; code is the id where the document prints no codes."""
        return indicators.indicator_page(database, caller, set_id, code, period=period, cluster=cluster)

    @router.get("/{set_id}/indicators/{code}/lineage", summary="数值从哪里来")
    def get_lineage(
        set_id: str, code: str, caller: Government, period: Period = None, cluster: Cluster = None
    ) -> dict[str, Any]:
        """Query, data set versions, the query that lists the very rows, earlier values, evidence and reviews."""
        return lineage.indicator_lineage(database, caller, set_id, code, period=period, cluster=cluster)

    @router.get("/{set_id}/indicators/{code}/series", summary="时间序列")
    def get_series(
        set_id: str,
        code: str,
        caller: Government,
        until: Period = None,
        cluster: Cluster = None,
        points: Annotated[int, Query(ge=1, le=120)] = 36,
    ) -> dict[str, Any]:
        """Values up to a period, oldest first; a point without value says why."""
        return series.indicator_series(database, caller, set_id, code, until=until, cluster=cluster, points=points)

    @router.get("/{set_id}/indicators/{code}/comparison", summary="集群比较")
    def compare_clusters(
        set_id: str,
        code: str,
        caller: Government,
        period: Annotated[str, Query(max_length=40)],
        cluster: Annotated[list[str] | None, Query(description="several; none: all")] = None,
    ) -> dict[str, Any]:
        """The indicator of several clusters, the largest first."""
        return series.compare_clusters(database, set_id, code, period=period, clusters=cluster or [])

    @router.get("/{set_id}/export", summary="导出文件所列的表", response_class=Response, responses=gives(*TABLES))
    def export_indicators(
        set_id: str,
        caller: Caller,
        form: Annotated[Literal["xlsx", "csv"], Query(alias="format")] = "xlsx",
        period: Period = None,
        cluster: Cluster = None,
    ) -> Response:
        """The table with the document's columns in its order, the values beside them."""
        sheet, name = indicator_table(database, caller, set_id, period=period, cluster=cluster)
        content, media = sheet_file(sheet, form)
        return Response(content, media_type=media, headers={"Content-Disposition": disposition(f"{name}.{form}")})

    return router
