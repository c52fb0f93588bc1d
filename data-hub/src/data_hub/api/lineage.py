"""HTTP routes of lineage."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from brain_kit.acting import ActingCaller
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from data_hub.api.body import body_chunks
from data_hub.domain.lineage.nodes import MAX_NODE
from data_hub.domain.lineage.openlineage import MAX_EVENT_BYTES, EventInvalid
from data_hub.service.lineage import exports, graph, reports
from data_hub.service.lineage.graph import MOST_DEPTH, Direction, GraphRequest

EXAMPLE = {
    "eventType": "COMPLETE",
    "eventTime": "2026-11-03T02:15:05.4Z",
    "producer": "https://erp.example/etl",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {"runId": "0197a1c2-3b4d-7e5f-8a6b-1c2d3e4f5a6b"},
    "job": {"namespace": "erp", "name": "nightly-orders"},
    "inputs": [{"namespace": "postgres://erp:5432", "name": "sales.orders"}],
    "outputs": [{"namespace": "brain", "name": "enterprise.enterprise_monthly"}],
}
DOCUMENTED = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE}},
    }
}


async def event_body(request: Request) -> bytes:
    """The event, at most 256 KiB."""
    return b"".join([chunk async for chunk in body_chunks(request, MAX_EVENT_BYTES, MAX_EVENT_BYTES)])


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EventInvalid("内容不是 JSON", errors=[{"field": "", "reason": "不是 JSON"}]) from error


async def graph_request(
    dataset: Annotated[str | None, Query(max_length=130, description="warehouse.dataset to begin at")] = None,
    version: Annotated[str | None, Query(max_length=40, description="its version; without: the newest")] = None,
    column: Annotated[str | None, Query(max_length=200, description="follow one column only")] = None,
    node: Annotated[str | None, Query(max_length=MAX_NODE, description="or a node: push:…, run:…, indicator:…")] = None,
    direction: Annotated[Direction, Query(description="up: where it comes from; down: what was made of it")] = "both",
    depth: Annotated[int, Query(ge=1, le=MOST_DEPTH, description="edges from the start")] = 6,
    limit: Annotated[int, Query(ge=1, le=500, description="nodes of a page")] = 200,
    after: Annotated[int, Query(ge=0, description="`next` of the page before")] = 0,
) -> GraphRequest:
    """What a request asks for; asynchronous so that it needs no thread of its own."""
    return GraphRequest(dataset, version, column, node, direction, depth, limit, after)


Asked = Annotated[GraphRequest, Depends(graph_request)]


def routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/lineage", tags=["lineage"])

    @router.post("", status_code=201, summary="上报血缘（OpenLineage）", openapi_extra=DOCUMENTED)
    async def report_lineage(caller: ActingCaller, body: Annotated[bytes, Depends(event_body)]) -> dict[str, Any]:
        """Takes an OpenLineage RunEvent, 1-x-x or 2-x-x; the same event again, or in another order, changes nothing."""
        return await run_in_threadpool(reports.report, database, caller, _json(body))

    @router.get("", summary="血缘图")
    def read_lineage(caller: ActingCaller, asked: Asked) -> dict[str, Any]:
        """Nodes (data set versions, runs, pushes, components, indicators, sources) and edges, as the caller may see."""
        return graph.lineage(database, caller, asked)

    @router.get("/events", summary="血缘导出（OpenLineage）")
    def export_lineage(caller: ActingCaller, asked: Asked) -> dict[str, Any]:
        """The runs and commits of the same walk as OpenLineage RunEvents, page after page of the walk."""
        return exports.events(database, caller, asked)

    return router
