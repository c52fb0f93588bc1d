"""Puts examples, errors and parameter texts into the operations of a document."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from brain_kit.auth import CredentialsMissing, TokenExpired, TokenInvalid
from brain_kit.openapi.examples import schema_of
from brain_kit.openapi.raised import Raised
from brain_kit.openapi.schemas import STATUS_TEXTS
from brain_kit.problems import MEDIA_TYPE, Problem, WrittenMeanwhile

Json = dict[str, Any]
RETRY_HEADER = {"Retry-After": {"description": "秒 seconds", "schema": {"type": "integer"}, "example": 2}}
BINARY = {"type": "string", "format": "binary"}


def of_kind(kind: type[Problem], detail: str) -> Raised:
    """A problem class with one of its sentences."""
    return Raised(kind.status, kind.code, kind.title, detail)


CREDENTIALS = (
    of_kind(CredentialsMissing, "缺少凭据：请在 Authorization 头中带 Bearer 令牌或密钥"),
    of_kind(TokenInvalid, "令牌无效，请重新登录或检查密钥"),
    of_kind(TokenExpired, "令牌已过期，请重新登录或重新换取"),
)
ROLE = Raised(403, "not_permitted", "Not permitted", "需要角色 operator，当前凭据没有；请联系平台运营方")
FIELDS = Raised(422, "fields_invalid", "Invalid input", "请求不合要求：limit（应不小于 1）")
UNREADABLE = Raised(400, "body_unreadable", "Bad request", "请求体不是有效的 JSON")
MEANWHILE = of_kind(WrittenMeanwhile, WrittenMeanwhile.words)
INTERNAL = Raised(500, "internal", "Internal error", "平台内部出错，已记录；请带上 request_id 联系运营方")


def with_usual(operation: Json, found: Iterable[Raised], *, is_public: bool, needs_role: bool) -> list[Raised]:
    """The errors of an operation: those found in its code, and what credentials, roles and validation add."""
    extra = [INTERNAL]
    extra += [] if is_public else CREDENTIALS
    extra += [ROLE] if needs_role else []
    if "requestBody" in operation:
        extra += [UNREADABLE, MEANWHILE]
    if "requestBody" in operation or operation.get("parameters"):
        extra.append(FIELDS)
    return list({item.code: item for item in [*found, *extra]}.values())


def add_errors(document: Json, operation: Json, errors: Iterable[Raised]) -> None:
    """Lists errors under their status, each code with an example problem that other operations share."""
    kept = document.setdefault("components", {}).setdefault("examples", {})
    by_status: dict[int, list[Raised]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    for status in list(operation["responses"]):
        if status[0] in "45d":
            del operation["responses"][status]
    for status, found in sorted(by_status.items()):
        operation["responses"][str(status)] = problem_response(status, found)
        for error in found:
            kept.setdefault(f"problem.{error.code}", {"value": problem_example(error)})


def problem_response(status: int, errors: Iterable[Raised]) -> Json:
    """The response object of a status: its codes, each with an example."""
    codes = sorted({error.code for error in errors})
    response: Json = {
        "description": STATUS_TEXTS.get(str(status), HTTPStatus(status).phrase),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code: {"$ref": f"#/components/examples/problem.{code}"} for code in codes},
            }
        },
        "x-codes": codes,
    }
    if status in (429, 503):
        response["headers"] = RETRY_HEADER
    return response


def problem_example(error: Raised) -> Json:
    """What a caller sees of an error."""
    return {
        "type": f"urn:brain:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail or error.title,
        "code": error.code,
        "instance": "/v1/…",
        "request_id": "req_01JD0Z8G7R8W2V5N4K9T3XQ6AB",
    }


def add_parameter_texts(operation: Json, texts: dict[str, str]) -> None:
    """Describes parameters that the code leaves without words."""
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        text = texts.get(f"{operation.get('operationId')}.{name}") or texts.get(name)
        if text and not parameter.get("description"):
            parameter["description"] = text


def add_examples(document: Json, examples: list[Json]) -> None:
    """Puts requests and answers into their operations; JSON answers without a model get the schema they follow."""
    operations = {
        operation.get("operationId"): operation for item in document["paths"].values() for operation in item.values()
    }
    for example in examples:
        operation = operations.get(example["operation"])
        if operation is None:
            continue  # an application under the name of another, as tests make them
        name = example.get("name", "example")
        _add_parameters(operation, example)
        _add_body(operation, example, name)
        _add_answer(operation, example, name)
        operation.setdefault("x-examples", []).append(
            {key: example[key] for key in ("name", "as", "path", "query", "headers", "content_type", "status", "media")
             if key in example}
        )  # fmt: skip
    for name, found in _by_type(item for item in examples if item["operation"] in operations).items():
        schema = schema_of(found) | {"title": name, "description": "由核对过的示例得出 follows from verified examples"}
        document["components"]["schemas"][name] = schema
        for example in found:
            content = operations[example["operation"]]["responses"][str(example["status"])]["content"]
            holder = content[example.get("media", "application/json")]
            if not _is_modelled(holder.get("schema")):
                holder["schema"] = {"$ref": f"#/components/schemas/{name}"}


def answer_type(example: Json) -> str:
    """The name of an answer's schema."""
    words = str(example.get("type") or example["operation"] + "_answer")
    return "".join(word[:1].upper() + word[1:] for word in words.split("_"))


def _by_type(examples: Iterable[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for example in examples:
        if "answer" in example and example.get("media", "application/json") == "application/json":
            found.setdefault(answer_type(example), []).append(example)
    return found


def _is_modelled(schema: Any) -> bool:
    return isinstance(schema, dict) and ("$ref" in schema or "properties" in schema)


def _add_parameters(operation: Json, example: Json) -> None:
    given = example.get("path", {}) | example.get("query", {})
    given |= {name.lower(): value for name, value in example.get("headers", {}).items()}
    for parameter in operation.get("parameters", ()):
        value = given.get(parameter["name"], given.get(parameter["name"].lower()))
        if value is not None:
            parameter.setdefault("example", value)


def _add_body(operation: Json, example: Json, name: str) -> None:
    if not {"body", "text", "base64"} & example.keys():
        return
    media = example.get("content_type", "application/json").partition(";")[0]
    content = operation.setdefault("requestBody", {"required": True, "content": {}})["content"]
    holder = content.setdefault(media, {"schema": BINARY})
    holder.pop("example", None)
    if "base64" in example:
        return  # a file: its content type says it all
    holder.setdefault("examples", {})[name] = {"value": example.get("body", example.get("text"))}


def _add_answer(operation: Json, example: Json, name: str) -> None:
    status = str(example["status"])
    response = operation["responses"].setdefault(status, {"description": HTTPStatus(int(status)).phrase})
    media = example.get("media")
    if media is None:
        response.pop("content", None)
        return
    content = response.setdefault("content", {})
    holder = content.setdefault(media, {"schema": {} if media == "application/json" else BINARY})
    if "answer" in example:
        holder.setdefault("examples", {})[name] = {"value": example["answer"]}
        if media != "application/json":
            holder["schema"] = {"type": "string"}
