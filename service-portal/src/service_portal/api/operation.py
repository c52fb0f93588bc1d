"""Health, readiness, metrics and the merged OpenAPI of the whole platform, as the gateway shows them."""

from __future__ import annotations

from typing import Any

from brain_kit.application import HttpShell, add_problem_handlers
from brain_kit.auth import public
from brain_kit.problems import NotPermitted
from brain_kit.service import Platform
from brain_kit.telemetry import RequestMetrics, exposition
from fastapi import FastAPI, Request, Response
from prometheus_client import REGISTRY

from service_portal.service import operation
from service_portal.service.document import Document


def operation_app(platform: Platform, credentials: Any, document: Document) -> FastAPI:
    """The application behind /healthz, /readyz, /metrics and /openapi.json of the gateway.

    credentials: the gateway's own, by which operators read the metrics with their API key.
    """
    app = FastAPI(title="operation", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    @public("liveness probe of the gateway, tells nothing else")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "service": "gateway"}

    @app.get("/readyz")
    @public("readiness probe; names services and parts, never data")
    def readyz(response: Response) -> dict[str, Any]:
        body = operation.readiness(platform)
        response.status_code = 200 if body["status"] == "ok" else 503
        return body

    @app.get("/openapi.json")
    @public("the catalogue of interfaces is for everybody")
    def openapi() -> dict[str, Any]:
        return document.read()

    @app.get("/metrics")
    @public("checks the operator's key itself, because it stands outside the API paths")
    async def metrics(request: Request) -> Response:
        text = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        verdict = await credentials.verify(text)
        if not verdict.principal.is_operator:
            raise NotPermitted("指标只对运营方开放")
        return Response(_metrics(platform), media_type="text/plain; version=0.0.4; charset=utf-8")

    add_problem_handlers(app)
    app.add_middleware(HttpShell, service="gateway", metrics=RequestMetrics("gateway"))
    return app


def _metrics(platform: Platform) -> bytes:
    runtimes = (platform.runtime(name) for name in platform.known_services())
    registries = [runtime.app.state.metrics.registry for runtime in runtimes if runtime is not None]
    return exposition(REGISTRY, *registries)[0]
