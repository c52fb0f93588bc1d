"""Examples of calls, kept as data beside each service's code, and the schemas of answers that follow from them.

`<package>/examples.json` is {"parameters": {...}, "examples": [...]}: descriptions of parameters by name or by
`operation.name`, and calls in the order in which they can be played on an empty platform:

    operation    the endpoint's name; with `name` it tells several examples of one operation apart
    as           who calls: operator, analyst, manager, member, provider, developer, or nobody
    path, query, headers, body (JSON), text or base64 with content_type: the request
    take         {"path.key_id": "identity.add_key.id"}: parts of the request that come from earlier answers
    status, media, answer: what the call answers, as it was recorded; binary bodies have no answer
    type         name of the answer's schema where operations share one
    free         paths of the answer whose members depend on the data, such as `items[]` of rows
    nullable     paths of the answer that may be null although they are not in the example

A test plays all of them on a running platform and compares every answer with its schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import Any

Json = dict[str, Any]
_WORDS = {bool: "boolean", int: "integer", float: "number", str: "string"}


@cache
def load_examples(package: str) -> Json:
    """The examples of a package; none when it has no such file."""
    if find_spec(package) is None:
        return {"parameters": {}, "examples": []}
    file = resources.files(package).joinpath("examples.json")
    if not file.is_file():
        return {"parameters": {}, "examples": []}
    return dict(json.loads(file.read_text(encoding="utf-8")))


def schema_of(examples: Iterable[Json]) -> Json:
    """The JSON Schema of the answers of examples: members that all have are required.

    An empty array says nothing of its items, so a later example may add that.
    """
    chosen = list(examples)
    free = {path for example in chosen for path in example.get("free", ())}
    nullable = {path for example in chosen for path in example.get("nullable", ())}
    return _schema([example["answer"] for example in chosen], "", free, nullable)


def _schema(values: list[Any], path: str, free: set[str], nullable: set[str]) -> Json:
    known = [value for value in values if value is not None]
    is_nullable = len(known) < len(values) or path in nullable
    if not known:
        return {}
    kinds = {_kind(value) for value in known}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if kinds == {"object"}:
        found = _object(known, path, free, nullable)
    elif kinds == {"array"}:
        items = [item for value in known for item in value]
        found = {"type": "array", "items": _schema(items, f"{path}[]", free, nullable)}
    elif len(kinds) == 1:
        found = {"type": kinds.pop()}
    else:
        return {}
    if is_nullable:
        found["type"] = [found["type"], "null"]
    return found


def _object(values: list[Json], path: str, free: set[str], nullable: set[str]) -> Json:
    if path in free:
        return {"type": "object", "additionalProperties": True}
    names = list(dict.fromkeys(name for value in values for name in value))
    below = f"{path}." if path else ""
    if {"items", "next"} <= set(names):
        nullable = nullable | {f"{below}next"}  # the mark of a further page; the last page has none
    return {
        "type": "object",
        "required": [name for name in names if all(name in value for value in values)],
        "properties": {
            name: _schema([value[name] for value in values if name in value], f"{below}{name}", free, nullable)
            for name in names
        },
    }


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else _WORDS[type(value)]
