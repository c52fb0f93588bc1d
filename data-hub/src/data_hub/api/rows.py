"""HTTP route of rows."""

from __future__ import annotations

from typing import Annotated

from brain_kit.acting import ActingCaller
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from data_hub.api.answers import ROWS, Form, caller_gone, file_response, json_response
from data_hub.service.rows import Rows, RowsRequest


async def rows_request(
    name: Annotated[str, Path(description="warehouse.dataset")],
    columns: Annotated[str, Query(description="names, separated by commas; empty: all")] = "",
    filter_text: Annotated[
        str, Query(alias="filter", description="a condition, such as month >= '2026-01' AND uscc = '...'")
    ] = "",
    limit: Annotated[int | None, Query(ge=1, description="rows of a page; a file without limit has all")] = None,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
    as_of: Annotated[str | None, Query(description="RFC 3339 time or snapshot id")] = None,
    version: Annotated[str | None, Query(description="a version of GET /v1/datasets/{name}/versions")] = None,
) -> RowsRequest:
    """What a request asks for; asynchronous so that it needs no thread of its own."""
    wanted = tuple(part.strip() for part in columns.split(",") if part.strip())
    return RowsRequest(name, wanted, filter_text, limit, after, as_of, version)


Asked = Annotated[RowsRequest, Depends(rows_request)]


def routes(rows: Rows) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/datasets", tags=["rows"])

    @router.get("/{name}/rows", summary="读取数据集的行", responses=ROWS, response_class=Response)
    def read_rows(request: Request, caller: ActingCaller, asked: Asked, form: Form) -> Response:
        """The rows that the caller may see, ordered by key; Accept chooses JSON, CSV, Arrow or Parquet."""
        if form is None:
            return json_response(rows.page(caller, asked, caller_gone(request)))
        return file_response(rows.export(caller, asked, form, caller_gone(request)), f"{asked.dataset}.{form.format}")

    return router
