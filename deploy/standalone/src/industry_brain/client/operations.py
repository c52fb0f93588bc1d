"""The calls of a service as source text, once for the synchronous and once for the asynchronous client."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import Any

from industry_brain.client.typing import Types, docstring, type_name

Json = dict[str, Any]
JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a call: `name` in Python, `wire` in the request."""

    name: str
    wire: str
    place: str
    kind: str
    required: bool


@dataclass(frozen=True)
class Method:
    """An operation as it is called in Python."""

    name: str
    operation: str
    verb: str
    path: str
    text: str
    parameters: tuple[Parameter, ...]
    body: str = ""
    body_required: bool = False
    content_types: tuple[str, ...] = ()
    answer: str = "None"
    files: tuple[str, ...] = ()
    pages: str = ""
    constant: str = ""


def read_operation(types: Types, verb: str, path: str, operation: Json, document: Json) -> Method:
    """The method of an operation of the document."""
    name = operation["operationId"].partition(".")[2]
    parameters = tuple(
        _parameter(types, item, name) for item in operation.get("parameters", ()) if item["name"].lower() != "accept"
    )
    body, required, content_types = _body(types, operation.get("requestBody"), name)
    answer, files, pages = _answer(types, operation, name, document)
    text = "\n\n".join(part for part in (operation.get("summary", ""), operation.get("description", "")) if part)
    return Method(
        name, operation["operationId"], verb, path, text, parameters, body, required, content_types, answer, files,
        pages if any(item.wire == "after" and not item.required for item in parameters) else "", name.upper(),
    )  # fmt: skip


def _parameter(types: Types, item: Json, operation: str) -> Parameter:
    wire = item["name"]
    name = "".join(letter if letter.isalnum() else "_" for letter in wire).lower()
    kind = types.of(item.get("schema", {}), type_name(operation) + type_name(name))
    if item["in"] == "path" and kind == "Any":
        kind = "str"
    return Parameter(
        name + "_" if keyword.iskeyword(name) else name, wire, item["in"], kind, bool(item.get("required"))
    )


def _body(types: Types, body: Json | None, operation: str) -> tuple[str, bool, tuple[str, ...]]:
    if body is None:
        return "", False, ()
    content = body["content"]
    schema = content.get(JSON, {}).get("schema")
    required = bool(body.get("required"))
    if set(content) == {JSON} and schema:
        return types.of(schema, type_name(operation) + "Body"), required, ()
    return "Content", required, tuple(content)


def _answer(types: Types, operation: Json, name: str, document: Json) -> tuple[str, tuple[str, ...], str]:
    kinds, files, pages = [], [], ""
    for status, response in operation["responses"].items():
        if status[0] != "2":
            continue
        content = response.get("content", {})
        if JSON in content:
            schema = content[JSON].get("schema", {})
            kinds.append(types.of(schema, type_name(name) + "Answer"))
            pages = pages or _item_kind(types, schema, document)
        elif not content:
            kinds.append("None")
        files += [media for media in content if media != JSON]
    answer = " | ".join(dict.fromkeys(kinds))
    return answer, tuple(dict.fromkeys(files)), pages


def _item_kind(types: Types, schema: Json, document: Json) -> str:
    full = schema.get("$ref", "").rpartition("/")[2]
    target = document["components"]["schemas"].get(full, {})
    members = target.get("properties", {})
    if not {"items", "next"} <= members.keys():
        return ""
    return types.of(members["items"].get("items", {}), type_name(full.partition(".")[2]) + "ItemsItem")


def constants(methods: list[Method]) -> str:
    """The operations as constants of the module."""
    return "".join(
        f"_{method.constant} = Operation({method.operation!r}, {method.verb!r}, {method.path!r})\n"
        for method in methods
    )


def service_class(name: str, methods: list[Method], *, is_async: bool) -> str:
    """The class of a service with a method for each operation."""
    kind = "AsyncConnection" if is_async else "Connection"
    source = f"class {name}:\n    {docstring(f'Calls of {name}.')}\n\n"
    source += f"    def __init__(self, connection: {kind}) -> None:\n        self._connection = connection\n\n"
    for method in methods:
        if method.answer:
            source += _method(method, is_async=is_async, is_file=False)
        if method.files:
            source += _method(method, is_async=is_async, is_file=True)
        if method.pages:
            source += _iterator(method, is_async=is_async)
    return source.rstrip() + "\n"


def _signature(method: Method, *, is_file: bool = False, without: str = "") -> list[str]:
    known = [item for item in method.parameters if item.name != without]
    first = [f"{item.name}: {item.kind}" for item in known if item.place == "path"]
    if method.body:
        optional = "" if method.body_required else " | None = None"
        first.append(f"{'content' if method.body == 'Content' else 'body'}: {method.body}{optional}")
    named = [f"{item.name}: {item.kind}" for item in known if item.place != "path" and item.required]
    named += [
        f"{item.name}: {item.kind}{'' if item.kind.endswith('None') or item.kind == 'Any' else ' | None'} = None"
        for item in known
        if item.place != "path" and not item.required
    ]
    if method.content_types:
        named.append(f"content_type: str = {method.content_types[0]!r}")
    if is_file and method.answer:
        named.append(f"accept: str = {method.files[0]!r}")
    return ["self", *first, *(["*", *named] if named else [])]


def _method(method: Method, *, is_async: bool, is_file: bool) -> str:
    """A method; one whose answer is a file gives a download to be read, and is called `..._file` beside a JSON one."""
    name = method.name + ("_file" if is_file and method.answer else "")
    returns = ("AsyncDownload" if is_async else "Download") if is_file else method.answer
    send = "open" if is_file else "json"
    wait = "await " if is_async else ""
    call = f"{wait}self._connection.{send}({_prepared(method, is_file=is_file)})"
    if not is_file:
        call = f"cast({returns!r}, {call})" if returns != "None" else call
    text = method.text + (f"\n\nFormats: {', '.join(method.files)}." if is_file else "")
    ends = f"        {'return ' if returns != 'None' else ''}{call}\n\n"
    parameters = ", ".join(_signature(method, is_file=is_file))
    head = f"    {'async ' if is_async else ''}def {name}({parameters}) -> {returns}:\n"
    return head + f"        {docstring(text, '        ')}\n" + ends


def _prepared(method: Method, *, is_file: bool) -> str:
    parts = [f"_{method.constant}"]
    for place, name in (("path", "path"), ("query", "query"), ("header", "headers")):
        members = [f"{_wire(item)!r}: {_value(item)}" for item in method.parameters if item.place == place]
        if members:
            parts.append(f"{name}={{{', '.join(members)}}}")
    if method.body:
        parts.append("content=content, content_type=content_type" if method.body == "Content" else "content=body")
    if is_file:
        parts.append("accept=accept" if method.answer else f"accept={', '.join(method.files)!r}")
    return f"prepare({', '.join(parts)})"


def _wire(item: Parameter) -> str:
    return "-".join(word.capitalize() for word in item.wire.split("-")) if item.place == "header" else item.wire


def _value(item: Parameter) -> str:
    return f"{item.name} or new_idempotency_key()" if item.wire.lower() == "idempotency-key" else item.name


def _iterator(method: Method, *, is_async: bool) -> str:
    parameters = _signature(method, without="after")
    given = [f"{item.name}={item.name}" for item in method.parameters if item.name != "after" and item.place != "path"]
    first = [item.name for item in method.parameters if item.place == "path"]
    call = f"self.{method.name}({', '.join([*first, *given, 'after=after'])})"
    kind, walk = ("AsyncIterator", "async_pages") if is_async else ("Iterator", "pages")
    text = f"Items of all pages of `{method.name}`, one page asked for at a time."
    return (
        f"    def iterate_{method.name}({', '.join(parameters)}) -> {kind}[{method.pages}]:\n"
        f"        {docstring(text)}\n"
        f"        return {walk}(lambda after: {call})\n\n"
    )
