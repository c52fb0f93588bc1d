"""HTTP routes of pushes.

Routes that read a body or wait are asynchronous: a body of gigabytes and a wait of minutes must not hold a thread.
Everything that touches the database, files or rows runs in the thread pool.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import orjson
from brain_kit.acting import ActingCaller
from brain_kit.openapi import gives, takes
from brain_kit.problems import MEDIA_TYPE, problem_body
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from data_hub.api.body import announced_bytes, body_chunks
from data_hub.domain.push import Mode
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.media import FORMATS, parse_media_type
from data_hub.service.large import LargePushes
from data_hub.service.push import Intent, Pushes, Received
from data_hub.service.receipts import load_push, page_of_pushes, receipt
from data_hub.service.reject_pages import reject_csv, reject_page
from data_hub.service.waiting import PushWaiters
from data_hub.settings import Settings
from data_hub.store import PushRecord

MAX_WAIT_S = 300
TAKEN = gives("application/json") | {202: {"description": "Accepted", "content": {"application/json": {}}}}
REJECTS = gives("application/json", "text/csv")
REPLAY_HEADER = "Idempotent-Replay"
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="seconds to wait until the push is final")]


async def take_body(request: Request, intent: Intent, pushes: Pushes, large: LargePushes) -> Received:
    """Reads the body: a small one whole, a larger one through the spool while it comes in."""
    settings = pushes.settings
    chunks = body_chunks(request, settings.data_hub_push_limit_bytes, settings.data_hub_unpacked_limit_bytes)
    head: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            head.append(chunk)
            size += len(chunk)
            if size > settings.data_hub_small_push_bytes:
                return await large.receive(intent, b"".join(head), chunks)
    except ContentRefused as problem:
        return await run_in_threadpool(pushes.refuse, intent, problem)
    return await pushes.receive_small(intent, b"".join(head))


def answer(received: Received, instance: str, request_id: str) -> Response:
    """200 when committed, 202 while pending, 422 when refused; the receipt in each."""
    record = received.record
    headers = {"Location": f"/v1/pushes/{record.id}"} | ({REPLAY_HEADER: "true"} if received.is_replay else {})
    body = receipt(record)
    if record.state != "refused":
        status = 200 if record.state == "committed" else 202
        return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")
    problem = (record.problems or [{"code": "refused", "detail": "推送被拒绝"}])[0]
    refusal = ContentRefused(str(problem["code"]), str(problem["detail"]))
    refusal.members = {name: value for name, value in problem.items() if name not in ("code", "detail")} | body
    content = orjson.dumps(problem_body(refusal, instance=instance, request_id=request_id))
    return Response(content, refusal.status, headers=headers, media_type=MEDIA_TYPE)


def routes(pushes: Pushes, large: LargePushes, waiters: PushWaiters, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["pushes"])
    database = pushes.database

    async def final(
        caller: ActingCaller, record: PushRecord, wait: float, future: asyncio.Future[PushRecord]
    ) -> PushRecord:
        async def load(push_id: str) -> PushRecord:
            return await run_in_threadpool(load_push, database, caller, push_id)

        return await waiters.until_final(record, wait, future, load)

    @router.post(
        "/datasets/{name}/pushes",
        summary="推送数据",
        response_class=Response,
        openapi_extra=takes(*FORMATS),
        responses=TAKEN,
    )
    async def push(
        request: Request,
        name: str,
        caller: ActingCaller,
        mode: Annotated[
            Mode, Query(description="append adds, upsert replaces by key, delete removes by key")
        ] = "append",
        wait: Wait = 0,
        idempotency_key: Annotated[str | None, Header(description="the same content under it counts once")] = None,
    ) -> Response:
        """Takes rows in JSON, NDJSON, CSV, XLSX, Parquet or Arrow; the good ones get in, the others come back."""
        announced_bytes(request, settings.data_hub_push_limit_bytes)
        media = parse_media_type(request.headers.get("content-type", ""))
        intent = pushes.known_intent(caller, name, mode, media, idempotency_key)
        if intent is None:
            intent = await run_in_threadpool(pushes.intend, caller, name, mode, media, idempotency_key)
        with waiters.expecting(intent.push_id) as future:
            received = await take_body(request, intent, pushes, large)
            record = await final(caller, received.record, wait, future)
        request_id = request.scope.get("request_id", "")
        return answer(Received(record, received.is_replay), request.url.path, request_id)

    @router.get("/pushes", summary="推送列表")
    def list_pushes(
        caller: ActingCaller,
        dataset: Annotated[str | None, Query()] = None,
        state: Annotated[Literal["received", "validated", "committed", "refused", ""] | None, Query()] = None,
        after: Annotated[str | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Receipts, newest first: one's own, for government everybody's."""
        return page_of_pushes(
            database, caller, dataset=dataset or None, state=state or None, after=after or None, limit=limit
        )

    @router.get("/pushes/{push_id}", summary="推送回执")
    async def read_push(push_id: str, caller: ActingCaller, wait: Wait = 0) -> dict[str, Any]:
        """A receipt, waited for until it is final."""
        with waiters.expecting(push_id) as future:
            record = await run_in_threadpool(load_push, database, caller, push_id)
            return receipt(await final(caller, record, wait, future))

    @router.get("/pushes/{push_id}/rejects", summary="退回的行", response_class=Response, responses=REJECTS)
    def read_rejects(
        request: Request,
        push_id: str,
        caller: ActingCaller,
        after: Annotated[str | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Rejected rows with reason and fix; as text/csv the rows as they came, ready to be mended and sent again."""
        record = load_push(database, caller, push_id)
        if "text/csv" in request.headers.get("accept", ""):
            lines = reject_csv(database, pushes.objects, record)
            headers = {"Content-Disposition": f'attachment; filename="{push_id}-rejects.csv"'}
            return ClosingStream(lines, media_type="text/csv; charset=utf-8", headers=headers)
        page = reject_page(pushes.objects, record, after=after, limit=limit)
        return Response(orjson.dumps(page), media_type="application/json")

    return router
