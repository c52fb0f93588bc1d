"""Example queries bring the canonical data sets into the components' form, shown on the synthetic cluster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from algorithm_dev.domain.check import check_parameters, check_rows
from algorithm_dev.domain.signature import Rows
from algorithm_dev.shipped import Example, shipped_components, shipped_examples
from data_hub.domain.query.statement import read_statement
from industry_brain.generator import generate

from tests.algorithm_dev.running import component, run

EXAMPLES = {item.component: item for item in shipped_examples()}


@pytest.fixture(scope="module")
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The data sets that the examples name, of a small synthetic cluster."""
    wanted = {name for example in EXAMPLES.values() for name in example.datasets}
    with duckdb.connect() as connection:
        for schema in ("public", "enterprise"):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, _, table in generate(enterprises=200).datasets():
            if name in wanted:
                connection.register("given", table)
                connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM given LIMIT 0")
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")
                connection.unregister("given")
        yield connection


def rows_of(warehouse: duckdb.DuckDBPyConnection, example: Example) -> list[dict[str, Any]]:
    """The rows that the example's query gives."""
    found = warehouse.execute(f"SELECT to_json(example)::VARCHAR FROM ({example.sql}) AS example").fetchall()
    return [json.loads(row) for (row,) in found]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_warehouse_accepts_the_query_and_the_component_its_rows(
    warehouse: duckdb.DuckDBPyConnection, example: Example
) -> None:
    """The data hub's own gate lets the query pass and finds the data sets; the rows fit the signature."""
    (tree,) = warehouse.execute("SELECT json_serialize_sql(?::VARCHAR)", [example.sql]).fetchone() or ("{}",)
    signature = component(example.component).card.signature
    assert isinstance(signature.inputs, Rows)

    assert read_statement(json.loads(tree)).datasets == example.datasets
    assert check_rows(signature.inputs, rows_of(warehouse, example)[:20_000]) == []
    assert check_parameters(signature, example.parameters) == []


def test_every_example_is_of_a_shipped_component() -> None:
    """A renamed component must not leave an example behind."""
    assert set(EXAMPLES) <= {item.card.name for item in shipped_components()}


def test_the_components_make_sense_of_the_synthetic_cluster(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Every run ends with figures: totals, a forecast, a fit, and few unusual readings."""
    results = {name: run(name, rows_of(warehouse, example), **example.parameters) for name, example in EXAMPLES.items()}

    carbon = results["carbon-accounting"]
    assert {row["state"] for row in carbon} == {"default_factor"}
    assert carbon[0]["total_tco2"] == pytest.approx(sum(row["emission_tco2"] for row in carbon))
    assert [row["state"] for row in results["demand-forecast"]] in (["ok"] * 6, ["worse_than_last_year"] * 6)
    assert all(row["forecast"] > 0 for row in results["demand-forecast"])
    assert results["energy-baseline"][0]["baseline_rows"] >= 12
    states = Counter(row["state"] for row in results["energy-anomaly"])
    assert states["normal"] > 0.8 * states.total()
