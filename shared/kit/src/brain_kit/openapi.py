"""The OpenAPI document of a service: how to authenticate, and that every error is a problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from brain_kit.auth import public_reason
from brain_kit.problems import MEDIA_TYPE

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "访问令牌；经网关也可以是密钥 token, or API key"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "经网关 through the gateway"},
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; further members carry the data, such as `errors`.",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:brain:problem:fields_invalid"]},
        "title": {"type": "string", "examples": ["Invalid input"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "examples": ["请求不合要求：uscc（缺少该字段）"]},
        "code": {"type": "string", "examples": ["fields_invalid"]},
        "instance": {"type": "string", "examples": ["/v1/organisations"]},
        "request_id": {"type": "string", "examples": ["req_01JD0Z8G7R8W2V5N4K9T3XQ6AB"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                    "value": {},
                },
            },
        },
    },
    "additionalProperties": True,
}
ERRORS = {
    "401": "凭据缺失、无效或过期 credentials missing, invalid or expired",
    "403": "角色不允许 the role does not allow it",
    "404": "不存在，或无权知道其存在 not there, or not for the caller to know",
    "422": "输入不合要求，见 errors invalid input",
    "default": "其他错误 any other error",
}


def routes_of(app: FastAPI) -> Iterator[RouteContext]:
    """Every API route with its whole path, also of included routers, which `app.routes` does not show.

    Each has `path`, `methods`, `endpoint` and `dependant` (with the dependencies of its routers).
    """
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield context


def describe(app: FastAPI) -> None:
    """Makes the application's OpenAPI document name its security schemes and its errors."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            components = document.setdefault("components", {})
            components["securitySchemes"] = SECURITY_SCHEMES
            schemas = components.setdefault("schemas", {})
            for replaced in ("HTTPValidationError", "ValidationError"):
                schemas.pop(replaced, None)
            schemas["Problem"] = PROBLEM_SCHEMA
            for route in routes_of(app):
                for method in route.methods or ():
                    operation = document["paths"].get(route.path_format, {}).get(method.lower())
                    if operation is not None and route.endpoint is not None:
                        _complete(operation, public_reason(route.endpoint) is not None, "{" in str(route.path))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], is_public: bool, has_id: bool) -> None:
    operation["security"] = [] if is_public else [{name: []} for name in SECURITY_SCHEMES]
    takes_input = "requestBody" in operation or "parameters" in operation
    wanted = {"401": not is_public, "403": not is_public, "404": has_id, "422": takes_input, "default": True}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, applies in wanted.items():
        if applies:
            operation["responses"][status] = {"description": ERRORS[status], "content": content}
