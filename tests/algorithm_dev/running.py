"""Runs a component with plain DuckDB or onnxruntime, as the card's format says, without the service."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import duckdb
import numpy as np
from algorithm_dev.domain.signature import Rows
from algorithm_dev.shipped import Shipped, shipped_components

os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
TYPES = {"number": np.float64, "integer": np.int64, "boolean": np.bool_, "string": np.object_}


def component(name: str) -> Shipped:
    """The shipped component of that name."""
    return next(item for item in shipped_components() if item.card.name == name)


def run(name: str, rows: list[dict[str, Any]], **parameters: Any) -> list[dict[str, Any]]:
    """The result rows of a shipped component."""
    return run_shipped(component(name), rows, parameters)


def run_shipped(shipped: Shipped, rows: list[dict[str, Any]], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The result rows of a component, its parameters filled from the defaults."""
    settled = shipped.card.signature.settled(parameters)
    return (_sql if shipped.card.runtime == "sql" else _onnx)(shipped, rows, settled)


def _sql(shipped: Shipped, rows: list[dict[str, Any]], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    signature = shipped.card.signature
    assert isinstance(signature.inputs, Rows)
    columns = {name: column.sql_type for name, column in signature.inputs.columns.items()}
    with duckdb.connect(":memory:", config={"threads": 2}) as database:
        declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        database.execute(f"CREATE TABLE input ({declared})")
        if rows:
            structure = json.dumps([columns])
            database.execute(
                "INSERT INTO input SELECT unnest(from_json(?, ?), recursive := true)", [json.dumps(rows), structure]
            )
        typed = ", ".join(f'?::{item.sql_type} AS "{item.name}"' for item in signature.parameters) or "1 AS nothing"
        database.execute(f"CREATE TABLE parameters AS SELECT {typed}", list(parameters.values()))
        found = database.execute(shipped.files[shipped.card.entry].decode())
        names = [item[0] for item in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@cache
def _session(name: str) -> Any:
    import onnxruntime

    shipped = component(name)
    return onnxruntime.InferenceSession(shipped.files[shipped.card.entry], providers=["CPUExecutionProvider"])


def _onnx(shipped: Shipped, rows: list[dict[str, Any]], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    signature = shipped.card.signature
    assert isinstance(signature.inputs, Rows)
    assert isinstance(signature.outputs, Rows)
    through = [name for name in signature.inputs.columns if name in signature.outputs.columns]
    feed = {item.name: np.array(parameters[item.name], TYPES[item.type]) for item in signature.parameters}
    for name, column in signature.inputs.columns.items():
        if name not in through:
            values = [row.get(name) for row in rows]
            blank = [np.nan if value is None else value for value in values]
            feed[name] = np.array(blank, TYPES[column.scalar])
    session = _session(shipped.card.name)
    names = [item.name for item in session.get_outputs()]
    assert set(names) == set(signature.outputs.columns) - set(through)
    columns = dict(zip(names, session.run(None, feed), strict=True))
    given = {name: [row.get(name) for row in rows] for name in through}
    table = {name: given.get(name, columns.get(name)) for name in signature.outputs.columns}
    return [
        {name: None if _nan(value) else _plain(value) for name, value in zip(table, row, strict=True)}
        for row in zip(*table.values(), strict=True)
    ]


def _nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
