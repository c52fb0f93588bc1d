"""What the pages show of a card: its signature as tables, a form for one row, results as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from service_portal.portal.security import Form
from service_portal.portal.translations import mark

KINDS = {
    "knowledge": mark("知识"),
    "process": mark("工艺"),
    "mechanism": mark("机理"),
    "simulation": mark("研发仿真"),
    "flow": mark("业务流程"),
    "algorithm": mark("数据算法"),
    "app": mark("工业APP"),
}
SHOWN_ROWS = 200
EXAMPLE_ROWS = 50


@dataclass(frozen=True)
class Field:
    """One value of a signature; choices are (value, words) pairs."""

    name: str
    title: str
    type: str
    unit: str
    required: bool
    bounds: str
    choices: tuple[tuple[str, str], ...] = ()
    value: str = ""
    of: str = "input"


def signature_rows(side: dict[str, Any]) -> list[Field]:
    """The columns or tensors of one side of a signature."""
    if side["form"] == "tensors":
        return [
            Field(
                item["name"],
                item.get("title") or "",
                f"{item['dtype']} {item['shape']}",
                _unit(item),
                True,
                _bounds(item),
            )
            for item in side["tensors"]
        ]
    schema = side["schema"]
    required = set(schema.get("required") or ())
    return [_field(name, item, name in required) for name, item in schema["properties"].items()]


def form_columns(card: dict[str, Any]) -> list[Field]:
    """Fields of the trial form for one row, filled from the first golden vector; none for tensors."""
    signature = card["signature"]
    found: list[Field] = []
    vector = (card.get("golden") or [{}])[0]
    if signature["inputs"]["form"] == "rows":
        rows = vector.get("inputs") or [{}]
        schema = signature["inputs"]["schema"]
        required = set(schema.get("required") or ())
        found += [
            _field(name, item, name in required, _shown(rows[0].get(name)))
            for name, item in schema["properties"].items()
        ]
    given = vector.get("parameters") or {}
    for item in signature.get("parameters") or ():
        value = _shown(given.get(item["name"], item["default"]))
        found.append(_field(item["name"], item, False, value, "parameter"))
    return found


def example_body(card: dict[str, Any]) -> dict[str, Any]:
    """The body of a call with the first golden vector's inputs."""
    vector = (card.get("golden") or [{}])[0]
    side = card["signature"]["inputs"]
    inputs = vector.get("inputs")
    if isinstance(inputs, list):
        inputs = inputs[:EXAMPLE_ROWS] if len(inputs) <= 400 else inputs
    return {"inputs": inputs or ([] if side["form"] == "rows" else {}), "parameters": vector.get("parameters") or {}}


def filled_body(card: dict[str, Any], form: Form) -> dict[str, Any]:
    """The body of a call from the trial form: one row and the parameters. Raises ValueError for a wrong number."""
    row: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for field in form_columns(card):
        target = row if field.of == "input" else parameters
        text = form.one(f"{field.of}-{field.name}")
        if text or field.required:
            target[field.name] = _typed(field, text)
    return {"inputs": [row], "parameters": parameters}


def result_table(card: dict[str, Any], outputs: Any) -> dict[str, Any]:
    """Columns, rows and how many are left out; tensors of one or two dimensions become columns."""
    side = card["signature"]["outputs"]
    if side["form"] == "rows":
        columns = signature_rows(side)
        words = {name: _words(item) for name, item in side["schema"]["properties"].items()}
        rows = [[words[c.name].get(str(row.get(c.name)), row.get(c.name)) for c in columns] for row in outputs]
        heads = [(c.name, c.title, c.unit) for c in columns]
        return {"heads": heads, "rows": rows[:SHOWN_ROWS], "left_out": max(0, len(rows) - SHOWN_ROWS)}
    heads, table = [], []
    for item in side["tensors"]:
        values = outputs[item["name"]]
        values = values if isinstance(values, list) else [values]
        heads.append((item["name"], item.get("title") or "", _unit(item)))
        table.append([value if not isinstance(value, list) else json.dumps(value) for value in values[:SHOWN_ROWS]])
    length = max((len(column) for column in table), default=0)
    rows = [[column[place] if place < len(column) else None for column in table] for place in range(length)]
    return {"heads": heads, "rows": rows, "left_out": 0}


def _typed(field: Field, text: str) -> Any:
    if field.type == "boolean":
        return text == "true"
    if field.type in ("number", "integer") and text:
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"{field.name} {text}") from error
    return text or None


def _field(name: str, item: dict[str, Any], required: bool, value: str = "", of: str = "input") -> Field:
    kinds = item["type"] if isinstance(item["type"], list) else [item["type"]]
    kind = next((kind for kind in kinds if kind != "null"), "string")
    choices = tuple((str(value), words) for value, words in _choices(item))
    shown = item.get("format", kind) if kind == "string" else kind
    title = item.get("title") or ""
    return Field(name, title, shown, _unit(item), required, _bounds(item), choices, value, of)


def _choices(item: dict[str, Any]) -> list[tuple[Any, str]]:
    words = _words(item)
    return [(value, words.get(str(value), str(value))) for value in item.get("enum") or ()]


def _words(item: dict[str, Any]) -> dict[str, str]:
    return {value: text.get("zh") or value for value, text in (item.get("enum_titles") or {}).items()}


def _unit(item: dict[str, Any]) -> str:
    return "" if item.get("unit") in (None, "1") else str(item["unit"])


def _bounds(item: dict[str, Any]) -> str:
    found = []
    for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")):
        if item.get(name) is not None:
            found.append(f"{sign} {item[name]:g}")
    return "，".join(found)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
