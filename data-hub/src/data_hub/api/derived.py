"""HTTP route of data sets that are made from a query."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import orjson
from brain_kit.acting import ActingCaller
from brain_kit.ids import new_id
from brain_kit.openapi import gives
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from data_hub.api.answers import caller_gone
from data_hub.api.pushes import REPLAY_HEADER, Wait
from data_hub.domain.derived import DeriveRequest, Mode
from data_hub.domain.query.statement import MAX_SQL_CHARACTERS
from data_hub.service.derived.derive import Deriving
from data_hub.service.receipts import receipt
from data_hub.service.waiting import PushWaiters
from data_hub.store import PushRecord

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
EXAMPLE: dict[str, Any] = {
    "name": "enterprise.monthly_sums",
    "title": "月度合计",
    "sql": "SELECT month, sum(revenue_10k_cny) AS revenue FROM enterprise.enterprise_monthly GROUP BY month",
    "key": ["month"],
}


class DeriveBody(BaseModel):
    """A data set to be made or refreshed, and the query that gives its rows."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: str = Field(max_length=130, description="warehouse.dataset, owned by the caller's organisation")
    title: Title = Field(description="Chinese title")
    sql: str = Field(max_length=MAX_SQL_CHARACTERS, description="one SELECT; its columns become those of the data set")
    parameters: dict[str, Any] | list[Any] | None = Field(None, description="$name by object, ? by array")
    versions: dict[str, str] | None = Field(None, max_length=100, description="versions to read, by warehouse.dataset")
    key: list[str] = Field([], max_length=20, description="columns that tell rows apart; needed for upsert")
    mode: Mode = Field("replace", description="replace: the result is all there is; upsert: replaces and adds by key")
    description: str = Field("", max_length=2000)


def routes(deriving: Deriving, waiters: PushWaiters) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/derived", tags=["derived"])

    @router.post(
        "", status_code=202, summary="由查询生成数据集", responses=gives("application/json"), response_class=Response
    )
    async def derive(
        body: DeriveBody,
        request: Request,
        caller: ActingCaller,
        wait: Wait = 0,
        breaking: Annotated[Literal["allow", "refuse"], Query(description="take columns that break")] = "refuse",
        idempotency_key: Annotated[str | None, Header(description="the same request under it counts once")] = None,
    ) -> Response:
        """Makes or refreshes a data set from the rows that the caller may see; the push it answers can be waited on."""
        asked = DeriveRequest(
            body.name,
            body.title,
            body.sql,
            body.parameters,
            body.versions,
            tuple(body.key),
            body.mode,
            body.description,
            breaking == "allow",
        )
        push_id = new_id("psh")
        gone = caller_gone(request)
        with waiters.expecting(push_id) as future:
            derived = await run_in_threadpool(deriving.derive, caller, push_id, asked, idempotency_key, gone)
            record = await _final(derived.record, wait, future)
        answer = await run_in_threadpool(deriving.described, record)
        headers = {"Location": f"/v1/pushes/{record.id}"} | ({REPLAY_HEADER: "true"} if derived.is_replay else {})
        content = orjson.dumps(answer | {"push": receipt(record)})
        status = 200 if record.state == "committed" else 202
        return Response(content, status, headers=headers, media_type="application/json")

    async def _final(record: PushRecord, wait: float, future: asyncio.Future[PushRecord]) -> PushRecord:
        async def load(push_id: str) -> PushRecord:
            return await run_in_threadpool(deriving.load, push_id)

        return await waiters.until_final(record, wait, future, load)

    return router
