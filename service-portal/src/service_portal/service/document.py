"""One OpenAPI document of all services, as it is seen through the gateway."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from typing import Any

from brain_kit.openapi.describing import of_kind, problem_example, problem_response
from brain_kit.openapi.raised import Raised
from brain_kit.openapi.schemas import SECURITY_SCHEMES
from brain_kit.problems import Problem
from brain_kit.service import Platform

from service_portal.domain import refusals
from service_portal.domain.routing import PUBLIC_ROUTES, SIGN_IN

KEPT_S = 60.0
Json = dict[str, Any]
PATH = of_kind(refusals.PathAmbiguous, "路径含有 ..、// 或编码的分隔符，请写成规范路径")
LENGTH = of_kind(refusals.LengthInvalid, "Content-Length 应为字节数")
BODY = of_kind(refusals.BodyTooLarge, "请求体 2,000,000 字节，超过上限 1,048,576 字节；请分批推送")
RATE = of_kind(refusals.TooFast, "请求过于频繁，请 2 秒后再试")
QUOTA = of_kind(refusals.QuotaUsedUp, "本月请求数已用完，请联系运营方调整方案")
UPSTREAM = (
    of_kind(refusals.UpstreamBroken, "服务的回答不完整，请稍后再试"),
    of_kind(refusals.UpstreamDown, "服务暂时没有回应，请稍后再试"),
    of_kind(refusals.UpstreamSlow, "服务在时限内没有回答"),
)
KEYS = (
    Raised(401, "key_unknown", "Unauthenticated", "密钥不存在，请检查是否复制完整"),
    Raised(401, "key_revoked", "Unauthenticated", "密钥已停用"),
    Raised(401, "key_expired", "Unauthenticated", "密钥已过期"),
)


class Document:
    """The merged document, collected at most once a minute; safe among threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._until = 0.0
        self._kept: Json = {}

    def read(self) -> Json:
        """The document; not to be changed by the caller. A service that is away is left out until it is back."""
        with self._lock:
            if time.monotonic() > self._until:
                self._kept, is_whole = merged(self._platform)
                self._until = time.monotonic() + (KEPT_S if is_whole else 2.0)
            return self._kept


def operations_of(document: Json) -> Iterator[tuple[str, str, Json]]:
    """(method, path, operation) of each operation of a document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def merged(platform: Platform, *, timeout_s: float = 15) -> tuple[Json, bool]:
    """The document with the gateway's paths and errors, and whether every service answered in time."""
    paths: Json = {}
    components: Json = {"schemas": {}, "examples": {}}
    tags = []
    is_whole = True
    for name in platform.known_services():
        try:
            document = platform.client(name).request("GET", "/openapi.json", token="", timeout_s=timeout_s).json()
        except Problem:
            is_whole = False
            continue
        tags.append({"name": name, "description": document["info"]["title"]})
        prefix = name.replace("-", "_")
        document = _prefixed(document, prefix)
        for section in ("schemas", "examples"):
            components[section] |= document["components"].get(section, {})
        for path, operations in document["paths"].items():
            if path.startswith("/v1/"):
                paths[f"/api/{name}{path}"] = {
                    method: _through_gateway(operation, name, method.upper(), path, components["examples"])
                    for method, operation in operations.items()
                }
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "产业大脑开放接口 Industry Brain API", "version": "1"},
        "tags": tags,
        "paths": dict(sorted(paths.items())),
        "components": components | {"securitySchemes": SECURITY_SCHEMES},
        "security": [{name: []} for name in SECURITY_SCHEMES],
    }
    return whole, is_whole


def _through_gateway(operation: Json, service: str, method: str, path: str, examples: Json) -> Json:
    """The operation with its id prefixed, its service as tag, and the errors that the gateway adds."""
    prefix = service.replace("-", "_")
    operation = copy.deepcopy(operation)
    operation["operationId"] = f"{prefix}.{operation['operationId']}"
    operation["tags"] = [service, *(tag for tag in operation.get("tags", ()) if tag != service)]
    target = (service, method, path)
    errors = [PATH, *UPSTREAM]
    errors += [] if target in PUBLIC_ROUTES else [*KEYS, RATE, QUOTA]
    errors += [RATE] if target == SIGN_IN else []
    errors += [BODY, LENGTH] if "requestBody" in operation else []
    for error in errors:
        examples.setdefault(f"problem.{error.code}", {"value": problem_example(error)})
        known = operation["responses"].get(str(error.status))
        if known is None:
            known = operation["responses"][str(error.status)] = problem_response(error.status, ())
        if error.code not in known["x-codes"]:
            known["x-codes"].append(error.code)
            content = known["content"]["application/problem+json"]["examples"]
            content[error.code] = {"$ref": f"#/components/examples/problem.{error.code}"}
    operation["responses"] = dict(sorted(operation["responses"].items()))
    return operation


def _prefixed(document: Json, prefix: str) -> Json:
    """The document with the names of its schemas and examples prefixed, so that services cannot collide.

    Problem is the same everywhere and keeps its name.
    """
    names = {}
    for section in ("schemas", "examples"):
        for item in document.get("components", {}).get(section, {}):
            if item != "Problem":
                names[f"#/components/{section}/{item}"] = f"#/components/{section}/{prefix}.{item}"
    document = _renamed(document, names)
    for section in ("schemas", "examples"):
        known = document["components"].get(section, {})
        document["components"][section] = {
            item if item == "Problem" else f"{prefix}.{item}": value for item, value in known.items()
        }
    return document


def _renamed(value: Any, names: dict[str, str]) -> Any:
    # Not only `$ref` refers: so do the values of a discriminator's mapping.
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value
