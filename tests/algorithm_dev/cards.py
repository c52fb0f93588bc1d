"""A small valid card for tests, as a document that a test may change."""

from __future__ import annotations

from typing import Any

STATEMENT = b"SELECT month, kwh * factor AS cost FROM input, parameters ORDER BY month"


def small_card() -> dict[str, Any]:
    """A valid SQL card with one golden vector; a new document at each call."""
    month = {"type": "string", "format": "date", "title": "月"}
    kwh = {"type": ["number", "null"], "unit": "kWh", "minimum": 0}
    inputs = {"type": "object", "properties": {"month": month, "kwh": kwh}, "required": ["month"]}
    outputs = {"type": "object", "properties": {"month": month, "cost": {"type": ["number", "null"], "unit": "CNY"}}}
    card = {
        "card": "1",
        "name": "power-cost",
        "version": "1.0.0",
        "title": {"zh": "电费", "en": "cost of electricity"},
        "kind": "knowledge",
        "description": {"zh": "电费", "en": "cost of electricity"},
        "owner": "platform",
        "licence": "Apache-2.0",
        "runtime": "sql",
        "entry": "cost.sql",
        "artefacts": [{"path": "cost.sql", "sha256": "0" * 64, "bytes": 72, "media_type": "application/sql"}],
        "signature": {
            "inputs": {"form": "rows", "min_rows": 1, "schema": inputs | {"additionalProperties": False}},
            "outputs": {"form": "rows", "schema": outputs | {"required": ["month"]}},
            "parameters": [
                {"name": "factor", "type": "number", "default": 0.6, "minimum": 0, "maximum": 10, "unit": "CNY/kWh"}
            ],
        },
        "golden": [
            {
                "name": "two-months",
                "title": {"zh": "两个月", "en": "two months"},
                "source": {"title": "price list"},
                "inputs": [{"month": "2026-01-01", "kwh": 100}, {"month": "2026-02-01", "kwh": None}],
                "outputs": [{"month": "2026-01-01", "cost": 60.0}, {"month": "2026-02-01", "cost": None}],
                "tolerance": {"absolute": 0.01},
            }
        ],
        "references": [{"kind": "table", "title": "price list of 2026"}],
        "limits": {"memory_mb": 64, "time_s": 5},
    }
    whole: dict[str, Any] = unshared(card)
    return whole


def unshared(part: Any) -> Any:
    """The same document without shared parts, which YAML would write as aliases."""
    if isinstance(part, dict):
        return {key: unshared(value) for key, value in part.items()}
    return [unshared(item) for item in part] if isinstance(part, list) else part


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small card with one place set, such as `signature.parameters.0.unit`; `...` removes it."""
    card = small_card()
    part: Any = card
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        part = part[step]
    if value is ...:
        del part[last]
    elif isinstance(part, list) and last == len(part):
        part.append(value)
    else:
        part[last] = value
    return card
