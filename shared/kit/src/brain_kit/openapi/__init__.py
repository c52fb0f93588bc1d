"""The OpenAPI document of a service: credentials, examples of every call, and every error that it may end with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from brain_kit.auth import public_reason
from brain_kit.openapi.describing import add_errors, add_examples, add_parameter_texts, with_usual
from brain_kit.openapi.examples import load_examples
from brain_kit.openapi.raised import Reader
from brain_kit.openapi.schemas import PROBLEM_SCHEMA, SECURITY_SCHEMES

__all__ = ["describe", "gives", "operation_name", "routes_of", "takes"]


def operation_name(route: APIRoute) -> str:
    """The short name of an operation: that of its function, unique within the service."""
    return f"internal_{route.name}" if route.path.startswith("/internal") else str(route.name)


def gives(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that chooses the format of its answer itself: the content types that it gives."""
    return {200: {"content": {media: {"schema": _schema_of(media)} for media in media_types}}}


def takes(*media_types: str) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself: the content types that it takes."""
    return {"requestBody": {"required": True, "content": {name: {"schema": _schema_of(name)} for name in media_types}}}


def _schema_of(media_type: str) -> dict[str, Any]:
    if media_type == "application/json":
        return {}
    is_text = media_type.startswith("text/") or media_type.endswith(("json", "yaml"))
    return {"type": "string"} if is_text else {"type": "string", "format": "binary"}


def routes_of(app: FastAPI) -> Iterator[RouteContext]:
    """Every API route with its whole path, also of included routers, which `app.routes` does not show.

    Each has `path`, `methods`, `endpoint` and `dependant` (with the dependencies of its routers).
    """
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield context


def describe(app: FastAPI, package: str) -> None:
    """Makes the application's document name its security schemes, examples and errors.

    package: the one whose `examples.json` holds the examples.
    """
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
            data = load_examples(package)
            reader = Reader()
            for route in routes_of(app):
                for method in route.methods or ():
                    operation = document["paths"].get(route.path_format, {}).get(method.lower())
                    if operation is not None and route.endpoint is not None:
                        _complete(document, operation, route, reader)
            for operations in document["paths"].values():
                for operation in operations.values():
                    add_parameter_texts(operation, data["parameters"])
            add_examples(document, data["examples"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any], operation: dict[str, Any], route: RouteContext, reader: Reader) -> None:
    assert route.endpoint is not None
    is_public = public_reason(route.endpoint) is not None
    operation["security"] = [] if is_public else [{name: []} for name in SECURITY_SCHEMES]
    roles = [call.required_roles for call in _calls(route.dependant) if hasattr(call, "required_roles")]
    if roles:
        operation["x-roles"] = sorted(set(roles[0]).intersection(*map(set, roles[1:])))
    found = reader.raised_by([route.endpoint, *_calls(route.dependant)]).values()
    add_errors(document, operation, with_usual(operation, found, is_public=is_public, needs_role=bool(roles)))


def _calls(dependant: Dependant) -> Iterator[Any]:
    for item in dependant.dependencies:
        if item.call is not None:
            yield item.call
        yield from _calls(item)
