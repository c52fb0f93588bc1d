"""The call of a component: an ordinary route for the document, and a shorter way to the same for speed.

A framework's route (dependency solving, middlewares, validation) costs ten times what a small model computes, so
`QuickCalls` answers the same requests as plain ASGI in front of the application, and those that need not wait for
anything at once. All use the same `Invoker`, and whatever is not a call goes on to the application.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, NamedTuple

import structlog
from brain_kit.application import problem_answer
from brain_kit.auth import Caller, TokenVerifier
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.openapi import gives
from brain_kit.problems import Problem, TooLarge
from brain_kit.prompt import Answer, Headers
from brain_kit.telemetry import RequestMetrics
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from algorithm_dev.service.invoking import Invoker
from algorithm_dev.service.usage import usage_view

MOST_BYTES = 32 << 20
START, END = "/v1/components/", "/invocations"
TEMPLATE = "/v1/components/{name}/versions/{version}/invocations"
CLIENT_GONE = 499
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "additionalProperties": False,
                    "properties": {
                        "inputs": {
                            "description": "rows (array), or tensors (object of nested arrays), as in the signature",
                            "anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}],
                        },
                        "parameters": {"type": "object"},
                    },
                },
                "example": {"inputs": [{"month": "2026-01-01", "kwh": 1280.5}], "parameters": {}},
            }
        },
    }
}
log = structlog.get_logger()


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises TooLarge, ClientDisconnect."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") or message["type"] == "http.disconnect" or len(body) > MOST_BYTES:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if len(body) > MOST_BYTES:
            raise TooLarge(f"请求体超过 {MOST_BYTES:,} 字节：请分批调用，或作为批量任务运行", limit_bytes=MOST_BYTES)
        message = await receive()
        body += message.get("body", b"")
    return body


def routes(database: Database, invoker: Invoker) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["calls"])

    @router.post(
        "/components/{name}/versions/{version}/invocations",
        summary="调用组件",
        openapi_extra=BODY,
        response_class=Response,
        responses=gives("application/json"),
    )
    async def invoke(name: str, version: str, request: Request, caller: Caller) -> Response:
        """Outputs for rows or tensors of the version's signature; `version` may be an alias. Each call is counted."""
        return Response(
            await invoker.invoke(caller, name, version, await _body(request.receive)), media_type="application/json"
        )

    @router.get("/usage", summary="组件用量")
    def read_usage(
        caller: Caller,
        component: Annotated[str | None, Query(max_length=63)] = None,
        days: Annotated[int, Query(ge=1, le=400)] = 30,
    ) -> dict[str, Any]:
        """Calls by day and version: one's own, and of one's own components everybody's."""
        return usage_view(database, caller, component, days)

    return router


class QuickCalls:
    """Answers calls of components in front of the application."""

    at_once_paths = re.compile(rb"/v1/components/[A-Za-z0-9_.-]{1,100}/versions/[A-Za-z0-9_.-]{1,100}/invocations")

    def __init__(self, app: ASGIApp, invoker: Invoker, tokens: TokenVerifier, metrics: RequestMetrics) -> None:
        self._app = app
        self._invoker = invoker
        self._tokens = tokens
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A call is answered here; everything else by the application."""
        call = _call_of(scope) if scope["type"] == "http" else None
        if call is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(scope, receive, send, call)

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer to a call by a known caller of a loaded model that is quick; None for everything else."""
        call = _call_of(scope)
        if call is None or len(body) > MOST_BYTES:
            return None
        started = time.perf_counter()
        try:
            caller = self._tokens.remembered(call.token)
            content = None if caller is None else self._invoker.at_once(caller, call.name, call.version, body)
            if content is None:
                return None
            answer = Answer(200, _head(content, call.request_id), content)
        except Exception as error:  # noqa: BLE001 - the last place where an error becomes an answer
            answer = problem_answer(_told(error, scope), scope["path"], call.request_id, [])
        self._metrics.observe("POST", TEMPLATE, answer.status, time.perf_counter() - started)
        return answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send, call: _Call) -> None:
        started = time.perf_counter()
        status = 200
        try:
            known = self._tokens.remembered(call.token)
            caller = known if known is not None else await run_in_threadpool(self._tokens.verify, call.token)
            content = await self._invoker.invoke(caller, call.name, call.version, await _body(receive))
            await _send(send, Answer(200, _head(content, call.request_id), content))
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:  # noqa: BLE001 - the last place where an error becomes an answer
            answer = problem_answer(_told(error, scope), scope["path"], call.request_id, [])
            status = answer.status
            await _send(send, answer)
        finally:
            self._metrics.observe("POST", TEMPLATE, status, time.perf_counter() - started)


class _Call(NamedTuple):
    """What the head of a call says."""

    name: str
    version: str
    token: str
    request_id: str


def _call_of(scope: Scope) -> _Call | None:
    """The call that a request is; None: it is none, or has no token."""
    path = scope.get("path", "")
    if scope["method"] != "POST" or not path.endswith(END) or not path.startswith(START):
        return None
    parts = path[len(START) : -len(END)].split("/")
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if len(parts) != 3 or parts[1] != "versions" or scheme.lower() != "bearer":
        return None
    request_id = headers.get(b"x-request-id", b"").decode("latin-1")[:64] or new_id("req")
    return _Call(parts[0], parts[2], token.strip(), request_id)


def _head(content: bytes, request_id: str) -> Headers:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"x-request-id", request_id.encode("latin-1")),
    ]


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def _told(error: Exception, scope: Scope) -> Problem:
    """What the caller is told of an error."""
    if not isinstance(error, Problem):
        log.exception("request_crashed", method="POST", path=scope["path"])
        return Problem("平台内部出错，已记录；请带上 request_id 联系运营方")
    if error.status >= 500:
        log.warning("request_failed", code=error.code, detail=error.detail, path=scope["path"])
    return error
