"""What every service application has: problems as answers, request ids, logs, metrics, health and readiness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import REGISTRY
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain_kit.auth import public
from brain_kit.ids import new_id
from brain_kit.problems import MEDIA_TYPE, InvalidInput, Problem, problem_body
from brain_kit.telemetry import RequestMetrics, exposition, server_span

CHECK_TIMEOUT_S = 3.0
QUIET_PATHS = {"/healthz", "/readyz", "/metrics"}
REQUEST_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

log = structlog.get_logger()


class FieldsInvalid(InvalidInput):
    """Fields of the request do not have the form that is asked for; `errors` lists each with the reason."""

    code = "fields_invalid"


def problem_response(problem: Problem, *, instance: str = "", request_id: str = "") -> Response:
    """A problem as an HTTP answer."""
    body = orjson.dumps(problem_body(problem, instance=instance, request_id=request_id), default=str)
    return Response(body, problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def add_problem_handlers(app: FastAPI) -> None:
    """Renders problems, invalid requests and unknown paths as problem+json."""

    def answer(request: Request, problem: Problem) -> Response:
        return problem_response(problem, instance=request.url.path, request_id=request.scope.get("request_id", ""))

    def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        if error.status >= 500:
            log.warning("request_failed", code=error.code, detail=error.detail, path=request.url.path)
        return answer(request, error)

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {"field": ".".join(str(part) for part in item["loc"]), "reason": item["msg"], "value": _shown(item)}
            for item in error.errors()
        ]
        names = "、".join(dict.fromkeys(str(item["field"]) for item in errors))
        return answer(request, FieldsInvalid(f"请求字段不合要求：{names}，见 errors", errors=errors))

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        members = {"status": error.status_code, "code": phrase.lower().replace(" ", "_"), "title": phrase}
        kind: type[Problem] = type("HttpProblem", (Problem,), members)
        response = answer(request, kind(str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def _shown(item: Mapping[str, Any]) -> Any:
    value = item.get("input")
    secret = any("password" in str(part) or "key" in str(part) or "token" in str(part) for part in item["loc"])
    if secret or isinstance(value, dict | list | bytes):
        return None
    return str(value)[:200] if value is not None else None


def add_operation_routes(
    app: FastAPI, service: str, metrics: RequestMetrics, checks: Mapping[str, Callable[[], None]]
) -> None:
    """Adds /healthz, /readyz and /metrics."""

    @app.get("/healthz", include_in_schema=False)
    @public("liveness probe of the process, tells nothing else")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "service": service}

    @app.get("/readyz", include_in_schema=False)
    @public("readiness probe; names parts, never data")
    def readyz(response: Response) -> dict[str, Any]:
        parts = run_checks(checks)
        ready = all(part["ok"] for part in parts)
        response.status_code = 200 if ready else 503
        return {"status": "ok" if ready else "unavailable", "service": service, "parts": parts}

    @app.get("/metrics", include_in_schema=False)
    @public("scraped inside the cluster; the gateway shows it to operators only")
    def prometheus() -> Response:
        body, content_type = exposition(metrics.registry, REGISTRY)
        return Response(body, media_type=content_type)


def run_checks(checks: Mapping[str, Callable[[], None]]) -> list[dict[str, Any]]:
    """Runs every check at the same time, each with a time limit; a part that hangs counts as failing."""
    results: dict[str, dict[str, Any]] = {
        name: {"name": name, "ok": False, "detail": f"没有在 {CHECK_TIMEOUT_S:g} 秒内应答"} for name in checks
    }

    def run(name: str, check: Callable[[], None]) -> None:
        try:
            check()
            results[name] = {"name": name, "ok": True, "detail": None}
        except Exception as error:  # noqa: BLE001 - whatever a check raises is what is wrong with the part
            results[name] = {"name": name, "ok": False, "detail": str(error)}

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + CHECK_TIMEOUT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [results[name] for name in checks]


class HttpShell:
    """ASGI middleware around a service: request id, trace, log line, metrics, and an answer for unexpected errors."""

    def __init__(self, app: ASGIApp, service: str, metrics: RequestMetrics) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        request_id = _request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        scope["request_id"] = request_id
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        incoming = headers.get(b"traceparent", b"").decode("latin-1") or None
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"], "service.name": self._service}
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, service=self._service),
            server_span(f"{scope['method']} {scope['path']}", incoming, attributes),
        ):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("request_crashed", method=scope["method"], path=scope["path"])
                if status:
                    raise
                problem = Problem("平台内部出错，已记录；请带上 request_id 联系运营方")
                response = problem_response(problem, instance=scope["path"], request_id=request_id)
                await response(scope, receive, send_with_id)
            finally:
                self._finish(scope, status, time.perf_counter() - started)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        template = getattr(route, "path", "unmatched")
        self._metrics.observe(scope["method"], template, status, seconds)
        if scope["path"] not in QUIET_PATHS:
            log.debug("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))


def _request_id(given: str) -> str:
    if 8 <= len(given) <= 64 and REQUEST_ID_CHARACTERS.issuperset(given):
        return given
    return new_id("req")
