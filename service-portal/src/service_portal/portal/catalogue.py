"""The catalogue of interfaces as pages show it: the merged document, cut into what one operation needs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from service_portal.service.document import operations_of

Json = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Entry:
    """One operation in the list."""

    id: str
    service: str
    method: str
    path: str
    summary: str
    description: str
    tags: tuple[str, ...]
    roles: tuple[str, ...]
    is_public: bool

    @property
    def search_text(self) -> str:
        """What a search looks into."""
        words = (self.id, self.method, self.path, self.summary, self.description, *self.tags)
        return " ".join(words).casefold()


@dataclass(frozen=True)
class Shown:
    """An example of a body: its content type, its name and its text; empty for files."""

    media: str
    name: str
    text: str


@dataclass(frozen=True)
class Error:
    """An error that an operation may end with."""

    status: str
    code: str
    detail: str


@dataclass(frozen=True)
class Operation:
    """All that the page of an operation shows."""

    entry: Entry
    parameters: tuple[Json, ...]
    bodies: tuple[Shown, ...]
    media_types: tuple[str, ...]
    answers: tuple[tuple[str, str, tuple[Shown, ...]], ...]
    errors: tuple[Error, ...]
    example: Json = field(default_factory=dict)

    def given(self, parameter: Json) -> Any:
        """The example's value of a parameter; empty when it has none."""
        place = "headers" if parameter["place"] == "header" else str(parameter["place"])
        values = {str(name).lower(): value for name, value in self.example.get(place, {}).items()}
        return values.get(parameter["name"].lower(), "")


def entries(document: Json) -> list[Entry]:
    """Every operation, by service and path."""
    return [_entry(method, path, operation) for method, path, operation in operations_of(document)]


def chosen(known: Iterable[Entry], text: str, service: str, tag: str) -> list[Entry]:
    """Those of a service or tag in which every word of the text is found."""
    words = text.casefold().split()
    return [
        entry
        for entry in known
        if (not service or entry.service == service)
        and (not tag or tag in entry.tags)
        and all(word in entry.search_text for word in words)
    ]


def operation(document: Json, identity: str) -> Operation | None:
    """An operation by its id."""
    for method, path, found in operations_of(document):
        if found["operationId"] == identity:
            body = found.get("requestBody", {}).get("content", {})
            return Operation(
                _entry(method, path, found),
                tuple(_parameter(item, document) for item in found.get("parameters", ())),
                tuple(_examples(body)),
                tuple(body),
                tuple(_answers(found["responses"])),
                tuple(_errors(found["responses"], document)),
                next(iter(found.get("x-examples", ())), {}),
            )
    return None


def pretty(value: Any) -> str:
    """A value as text: texts as they are, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _entry(method: str, path: str, found: Json) -> Entry:
    return Entry(
        found["operationId"],
        found["tags"][0],
        method,
        path,
        found.get("summary", ""),
        found.get("description", ""),
        tuple(found["tags"][1:]),
        tuple(found.get("x-roles", ())),
        found.get("security") == [],
    )


def _parameter(item: Json, document: Json) -> Json:
    schema = item.get("schema", {})
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    kind = kinds[0] if kinds else {}
    if "$ref" in kind:
        kind = document["components"]["schemas"].get(kind["$ref"].rpartition("/")[2], {})
    limits = [
        f"{sign} {kind[name]}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("pattern", ""))
        if name in kind
    ]
    return {
        "name": item["name"],
        "place": item["in"],
        "required": bool(item.get("required")),
        "type": kind.get("type", ""),
        "choices": [str(value) for value in kind.get("enum", [])],
        "limits": limits,
        "default": schema.get("default"),
        "description": item.get("description", ""),
        "example": item.get("example", ""),
    }


def _examples(content: Json) -> Iterable[Shown]:
    for media, holder in content.items():
        shown = holder.get("examples", {})
        for name, example in shown.items():
            yield Shown(media, name, pretty(example.get("value", "")))
        if not shown:
            yield Shown(media, "", "")


def _answers(responses: Json) -> Iterable[tuple[str, str, tuple[Shown, ...]]]:
    for status, response in responses.items():
        if status.startswith("2"):
            yield status, str(response.get("description", "")), tuple(_examples(response.get("content", {})))


def _errors(responses: Json, document: Json) -> Iterable[Error]:
    kept = document["components"]["examples"]
    for status, response in responses.items():
        for code, reference in response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items():
            problem = kept.get(reference["$ref"].rpartition("/")[2], {}).get("value", {})
            yield Error(status, code, str(problem.get("detail", "")))
