"""HTTP routes of the query API."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.acting import ActingCaller
from brain_kit.openapi import gives
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from data_hub.api.answers import ROWS, Form, caller_gone, file_response, json_response
from data_hub.domain.query.statement import MAX_SQL_CHARACTERS
from data_hub.service.query.queries import Queries, QueryRequest

After = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]


class QueryBody(BaseModel):
    """A query. Values go into `parameters`, never into the text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sql": "SELECT month, sum(revenue_10k_cny) AS revenue FROM enterprise.enterprise_monthly "
                    "WHERE month >= $since GROUP BY month ORDER BY month",
                    "parameters": {"since": "2026-01"},
                }
            ]
        },
    )

    sql: str = Field(max_length=MAX_SQL_CHARACTERS, description="one SELECT; tables are named warehouse.dataset")
    parameters: dict[str, Any] | list[Any] | None = Field(None, description="$name by object, ? by array")
    limit: int | None = Field(None, ge=1, description="rows of a page (JSON), or of the file")
    versions: dict[str, str] | None = Field(
        None, max_length=100, description="versions to read, by warehouse.dataset; the others are read as they are now"
    )
    id: str | None = Field(None, description="the caller's own id, 8 to 64 of A-Z a-z 0-9 - _, to cancel by")


def routes(queries: Queries) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/queries", tags=["queries"])

    @router.post("", summary="执行查询 SQL", responses=ROWS, response_class=Response)
    def query(body: QueryBody, request: Request, caller: ActingCaller, form: Form) -> Response:
        """Runs one SELECT over the rows that the caller may see; Accept chooses JSON, CSV, Arrow or Parquet."""
        asked = QueryRequest(body.sql, body.parameters, body.limit, body.id, body.versions)
        if form is None:
            return json_response(queries.page(caller, asked, caller_gone(request)))
        export = queries.export(caller, asked, form, caller_gone(request))
        return file_response(export, f"query.{form.format}")

    @router.get("", summary="查询历史")
    def list_queries(
        caller: ActingCaller, after: After = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
    ) -> dict[str, Any]:
        """The caller's running and recent queries, newest first."""
        return queries.history(caller, limit, after)

    @router.get(
        "/{query_id}/rows", summary="查询结果的后续页", responses=gives("application/json"), response_class=Response
    )
    def read_query_page(
        query_id: str,
        caller: ActingCaller,
        after: Annotated[str, Query(max_length=12, description="`next` of the page before")],
        limit: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        """A further page of a result, which is kept for ten minutes."""
        return json_response(queries.next_page(caller, query_id, after, limit))

    @router.delete("/{query_id}", status_code=204, summary="取消查询")
    def cancel_query(query_id: str, caller: ActingCaller) -> None:
        """Stops a running query of the caller; a query that has ended stays as it is."""
        queries.cancel(caller, query_id)

    return router
