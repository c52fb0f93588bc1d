"""Which input columns an output column comes from, as far as it can be told."""

from __future__ import annotations

from typing import Any

import structlog

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.result_contract import input_columns, output_columns
from algorithm_dev.engine.onnx import passed_through

log = structlog.get_logger()


def column_sources(card: Card, content: bytes) -> dict[str, list[str]]:
    """Input columns by output column; an output that nothing is known of is left out.

    SQL is read from the statement; what a model computes depends on all of its inputs.
    """
    if card.runtime == "onnx":
        beside = set(passed_through(card))
        into = [name for name in input_columns(card) if name not in beside]
        return {name: [name] if name in beside else into for name in output_columns(card)}
    return {name: found for name in output_columns(card) if (found := _sql_sources(card, content, name))}


def _sql_sources(card: Card, content: bytes, column: str) -> list[str]:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    side: Any = card.signature.inputs
    schema = {
        "input": {name: item.sql_type for name, item in side.columns.items()},
        "parameters": {item.name: item.sql_type for item in card.signature.parameters},
    }
    try:
        root = lineage(column, content.decode("utf-8-sig"), schema=schema, dialect="duckdb")
    except (SqlglotError, ValueError, KeyError, RecursionError) as error:
        log.info("column_lineage_unknown", component=card.name, column=column, error=str(error)[:200])
        return []
    names = {name.lower(): name for name in side.columns}
    found = []
    for node in root.walk():
        if isinstance(node.source, exp.Table) and node.source.name.lower() == "input":
            name = names.get(node.name.split(".")[-1].strip('"').lower())
            if name and name not in found:
                found.append(name)
    return found
