"""An operation's example as lines that work: for curl and for the Python client."""

from __future__ import annotations

import json
import keyword
from typing import Any
from urllib.parse import quote, urlencode

from service_portal.portal.catalogue import JSON, Operation, Shown


def address(operation: Operation) -> str:
    """Path and query of the example."""
    path = operation.entry.path
    for name, value in operation.example.get("path", {}).items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    query = urlencode(operation.example.get("query", {}), doseq=True)
    return f"{path}?{query}" if query else path


def body_of(operation: Operation) -> Shown | None:
    """The request body of the example; None without one."""
    name = operation.example.get("name", "example")
    shown = [item for item in operation.bodies if item.text]
    return next((item for item in shown if item.name == name), shown[0] if shown else None)


def curl_line(operation: Operation, base: str) -> str:
    """A call with curl that can be pasted; the key stands in $BRAIN_KEY."""
    entry = operation.entry
    parts = ["curl" + ("" if entry.method == "GET" else f" -X {entry.method}"), _quoted(base + address(operation))]
    if not entry.is_public:
        parts.append('-H "Authorization: Bearer $BRAIN_KEY"')
    parts += [f"-H {_quoted(f'{name}: {value}')}" for name, value in operation.example.get("headers", {}).items()]
    body = body_of(operation)
    if body is not None:
        media = operation.example.get("content_type") or body.media
        parts.append(f"-H {_quoted(f'Content-Type: {media}')}")
        parts.append(f"--data-binary {_quoted(body.text)}")
    elif operation.media_types:
        media = operation.example.get("content_type") or operation.media_types[0]
        parts += [f"-H {_quoted(f'Content-Type: {media}')}", "--data-binary @FILE"]
    media = operation.example.get("media", JSON)
    if media not in (JSON, "text/csv", "application/yaml", "application/sql"):
        parts.append("-o answer")
    return " \\\n  ".join(parts)


def python_line(operation: Operation, base: str) -> str:
    """The same call with brain-client."""
    entry, example = operation.entry, operation.example
    is_file = example.get("media", JSON) != JSON
    has_json = any(shown.media == JSON for _, _, bodies in operation.answers for shown in bodies)
    service, _, name = entry.id.partition(".")
    given = example.get("path", {}) | example.get("query", {}) | example.get("headers", {})
    values = {str(key).lower(): value for key, value in given.items()}
    first = [_literal(values[item["name"].lower()]) for item in operation.parameters if item["place"] == "path"]
    named = [
        f"{_name(item['name'])}={_literal(values[item['name'].lower()])}"
        for item in operation.parameters
        if item["place"] != "path" and item["name"].lower() in values and item["name"].lower() != "accept"
    ]
    body = body_of(operation)
    if body is not None:
        first.append(_literal(json.loads(body.text)) if body.media == JSON else _literal(body.text))
        if set(operation.media_types) != {JSON}:
            named.append(f"content_type={_literal(body.media)}")
    elif operation.media_types:
        first.append('Path("FILE")')
        named.append(f"content_type={_literal(example.get('content_type') or operation.media_types[0])}")
    if is_file and has_json:
        name += "_file"
        named.append(f"accept={_literal(example['media'])}")
    key = "" if entry.is_public else ', os.environ["BRAIN_KEY"]'
    call = f"brain.{service}.{name}({', '.join([*first, *named])})"
    imports = ["import os" if key else "", "from pathlib import Path" if 'Path("FILE")' in first else ""]
    lines = [*filter(None, imports), "from brain_client import Brain", "", f"brain = Brain({_literal(base)}{key})"]
    lines.append(f"print({call}.read())" if is_file else f"print({call})")
    return "\n".join(lines).lstrip("\n")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _name(wire: str) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in wire).lower()
    return f"{name}_" if keyword.iskeyword(name) else name
