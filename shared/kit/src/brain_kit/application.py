"""What every service application has: problems as answers, request ids, logs, metrics, health and readiness."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import REGISTRY
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain_kit.auth import public, require
from brain_kit.ids import new_id
from brain_kit.problems import MEDIA_TYPE, BadRequest, NotFound, Problem, TooLarge, WrittenMeanwhile, problem_body
from brain_kit.prompt import Answer, Headers
from brain_kit.readiness import Readiness
from brain_kit.status import process_status
from brain_kit.telemetry import RequestMetrics, exposition, name_span, server_span
from brain_kit.validation import FieldsInvalid, fields_invalid

__all__ = [
    "FieldsInvalid",
    "HttpShell",
    "add_operation_routes",
    "add_problem_handlers",
    "problem_answer",
    "problem_response",
]

QUIET_PATHS = {"/healthz", "/readyz", "/metrics", "/internal/status"}
REQUEST_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
CLIENT_GONE = 499

log = structlog.get_logger()


class BodyUnreadable(BadRequest):
    """The body cannot be parsed at all."""

    code = "body_unreadable"


class MethodNotAllowed(Problem):
    """The address exists but does not take this method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


def problem_response(problem: Problem, *, instance: str = "", request_id: str = "") -> Response:
    """A problem as an HTTP answer."""
    content = problem_body(problem, instance=instance, request_id=request_id)
    try:
        body = orjson.dumps(content, default=str)
    except TypeError:
        # A refused value may itself be what JSON of 64-bit integers and valid Unicode cannot carry.
        body = json.dumps(content, default=str).encode("ascii")
    return Response(body, problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def problem_answer(problem: Problem, instance: str, request_id: str, more: Headers) -> Answer:
    """A problem as a whole answer, with the request's id and more headers."""
    response = problem_response(problem, instance=instance, request_id=request_id)
    headers = [*response.raw_headers, (b"x-request-id", request_id.encode("latin-1")), *more]
    return Answer(response.status_code, headers, bytes(response.body))


def add_problem_handlers(app: FastAPI) -> None:
    """Renders problems, invalid requests and unknown paths as problem+json."""

    def answer(request: Request, problem: Problem) -> Response:
        return problem_response(problem, instance=request.url.path, request_id=request.scope.get("request_id", ""))

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        if error.status >= 500:
            log.warning("request_failed", code=error.code, detail=error.detail, path=request.url.path)
        return answer(request, error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, fields_invalid(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(request, _problem_of(request, error))
        response.headers.update(error.headers or {})
        return response

    async def on_clash(request: Request, error: Exception) -> Response:
        assert isinstance(error, IntegrityError)
        # The first line names the constraint; what follows, and the statement, would show values.
        reason = str(error.orig).partition("\n")[0]
        if "unique" not in reason.lower():
            raise error
        log.warning("written_meanwhile", path=request.url.path, reason=reason)
        return answer(request, WrittenMeanwhile(WrittenMeanwhile.words))

    app.add_exception_handler(Problem, on_problem)
    # Whoever knows better what two requests at once mean for an object catches this earlier.
    app.add_exception_handler(IntegrityError, on_clash)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def _problem_of(request: Request, error: HTTPException) -> Problem:
    """The problem for what the framework itself refuses."""
    place = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return NotFound(f"没有这个地址：{place}；接口目录见 /openapi.json")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"该地址不支持 {request.method}，可用：{allowed}")
    if isinstance(error, _BodyOverLimit):
        return _too_large(error.limit)
    if error.status_code == 400 and "parsing the body" in str(error.detail):
        return BodyUnreadable("请求体无法解析，请检查 JSON 格式、嵌套层数与 UTF-8 编码")
    phrase = HTTPStatus(error.status_code).phrase
    members = {"status": error.status_code, "code": phrase.lower().replace(" ", "_"), "title": phrase}
    kind: type[Problem] = type("HttpProblem", (Problem,), members)
    return kind(str(error.detail))


def add_operation_routes(
    app: FastAPI, service: str, metrics: RequestMetrics, checks: Mapping[str, Callable[[], None]], home: Path
) -> None:
    """Adds /healthz, /readyz, /metrics and, for operators, /internal/status."""
    readiness = Readiness(checks)

    @app.get("/healthz", include_in_schema=False)
    @public("liveness probe of the process, tells nothing else")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "service": service}

    @app.get("/readyz", include_in_schema=False)
    @public("readiness probe; names parts, never data")
    def readyz(response: Response) -> dict[str, Any]:
        parts = readiness.parts()
        ready = all(part["ok"] for part in parts)
        response.status_code = 200 if ready else 503
        return {"status": "ok" if ready else "unavailable", "service": service, "parts": parts}

    @app.get("/metrics", include_in_schema=False)
    @public("scraped inside the cluster; the gateway shows it to operators only")
    def prometheus() -> Response:
        body, content_type = exposition(metrics.registry, REGISTRY)
        return Response(body, media_type=content_type)

    @app.get("/internal/status", include_in_schema=False, dependencies=[Depends(require("operator", "service"))])
    def status() -> dict[str, Any]:
        return process_status(service, home, metrics)


class HttpShell:
    """ASGI middleware around a service: request id, trace, log line, metrics, and an answer for unexpected errors.

    access_log: whether every request leaves a log line; those that fail always do. max_body_bytes: larger bodies are
    refused, by their header or as soon as they prove to be larger.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: str,
        metrics: RequestMetrics,
        access_log: bool = False,
        max_body_bytes: int | None = None,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._service = service
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        request_id = _request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        scope["request_id"] = request_id
        incoming = headers.get(b"traceparent", b"").decode("latin-1") or None
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"], "service.name": self._service}
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, service=self._service),
            server_span(f"{scope['method']} {scope['path']}", incoming, attributes),
        ):
            await self._handle(scope, receive, send, request_id)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        async def answer(problem: Problem) -> None:
            response = problem_response(problem, instance=scope["path"], request_id=request_id)
            await response(scope, receive, send_with_id)

        try:
            if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
                await answer(BadRequest("地址中不能有 NUL 字符"))
            elif self._max_body_bytes is None:
                await self._app(scope, receive, send_with_id)
            elif _announced(scope) > self._max_body_bytes:
                await answer(_too_large(self._max_body_bytes))
            else:
                await self._app(scope, _limited(receive, self._max_body_bytes), send_with_id)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:
            log.exception("request_crashed", method=scope["method"], path=scope["path"])
            if status:
                raise
            await answer(Problem("平台内部出错，已记录；请带上 request_id 联系运营方"))
        finally:
            self._finish(scope, status or CLIENT_GONE, time.perf_counter() - started)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        template = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.observe(scope["method"], template, status, seconds)
        name_span(f"{scope['method']} {template}", {"http.route": template, "http.response.status_code": status})
        if scope["path"] not in QUIET_PATHS and (self._access_log or status >= 500):
            log.info("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))


class _BodyOverLimit(HTTPException):
    """Raised where the body is read; FastAPI lets an HTTPException pass there, and takes others for bad JSON."""

    def __init__(self, limit: int) -> None:
        super().__init__(413)
        self.limit = limit


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"请求体超过上限 {limit} 字节，请分批发送", limit_bytes=limit)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _BodyOverLimit(limit)
        return message

    return counted


def _request_id(given: str) -> str:
    if 8 <= len(given) <= 64 and REQUEST_ID_CHARACTERS.issuperset(given):
        return given
    return new_id("req")
