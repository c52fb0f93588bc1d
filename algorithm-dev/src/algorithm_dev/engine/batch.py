"""A component over a whole table: from the Parquet file of a data set to the Parquet file of its result.

Used by `algorithm_dev.runner` inside a job. Inputs are checked column by column against the signature before the
component sees them; the first wrong row of each column is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.result_contract import input_columns, output_columns, tensor_columns
from algorithm_dev.domain.signature import ColumnSchema, Rows, Tensors
from algorithm_dev.engine import sql
from algorithm_dev.engine.tables import ResultWrong, table_of

MONTH = r"^[0-9]{4}-[0-9]{2}$"


class InputWrong(ValueError):
    """Rows of the data set do not fit the signature; `findings` lists (column, reason)."""

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        self.findings = findings
        super().__init__("；".join(f"{column}：{reason}" for column, reason in findings[:5]))


def run_batch(
    card: Card, content: bytes, source: Path, target: Path, settings: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Writes the result and tells {rows_in, rows_out}.

    settings: as `run_settings` makes them. Raises InputWrong, ResultWrong, SqlRefused and what the engines raise.
    """
    with sql.open_database(folder / "spill", memory_mib=max(card.limits.memory_mb, 256)) as connection:
        given = _given(connection, card, source, settings["mapping"])
    result = _run(card, content, given, settings["parameters"], folder)
    _write(card, result, target)
    return {"rows_in": given.num_rows, "rows_out": result.num_rows}


def _given(connection: duckdb.DuckDBPyConnection, card: Card, source: Path, mapping: dict[str, str]) -> pa.Table:
    side = card.signature.inputs
    columns: dict[str, str] = (
        {name: column.sql_type for name, column in side.columns.items()}
        if isinstance(side, Rows)
        else dict.fromkeys(input_columns(card), "DOUBLE")
    )
    connection.execute("CREATE TABLE source AS SELECT * FROM read_parquet(?)", [str(source)])
    known = {row[0]: row[1] for row in connection.execute("DESCRIBE source").fetchall()}
    listed = ", ".join(
        f"{_converted(_quoted(mapping.get(name, name)), known.get(mapping.get(name, name)), kind)} AS {_quoted(name)}"
        for name, kind in columns.items()
    )
    connection.execute(f"CREATE TABLE mapped AS SELECT {listed} FROM source")
    if isinstance(side, Rows):
        _check(connection, side)
    return connection.sql("SELECT * FROM mapped").to_arrow_table()


def _converted(name: str, have: str | None, want: str) -> str:
    """SQL that takes a column of the data set to the type of the card; a missing optional column is null."""
    if have is None:
        return f"CAST(NULL AS {want})"
    if want == "DATE" and have == "VARCHAR":
        # Months are text YYYY-MM in the warehouse: a month is its first day.
        return f"CAST(CASE WHEN regexp_matches({name}, '{MONTH}') THEN {name} || '-01' ELSE {name} END AS DATE)"
    if want == "TIMESTAMP" and have.startswith("TIMESTAMP WITH"):
        return f"({name} AT TIME ZONE 'UTC')"
    return f"CAST({name} AS {want})"


def _check(connection: duckdb.DuckDBPyConnection, side: Rows) -> None:
    count = int(connection.execute("SELECT count(*) FROM mapped").fetchall()[0][0])
    findings: list[tuple[str, str]] = []
    if count < side.min_rows:
        findings.append(("rows", f"只有 {count} 行，至少要 {side.min_rows} 行"))
    if count > side.max_rows:
        findings.append(("rows", f"有 {count} 行，至多 {side.max_rows} 行：请用 filter 缩小"))
    for name, column in side.columns.items():
        for condition, values, reason in _rules(name, column):
            query = (
                f"SELECT count(*), min(row) FROM (SELECT *, row_number() OVER () AS row FROM mapped) WHERE {condition}"
            )
            bad, first = connection.execute(query, values).fetchall()[0]
            if bad:
                findings.append((name, f"{bad} 行{reason}，第一处在第 {first} 行"))
    if findings:
        raise InputWrong(findings)


def _rules(name: str, column: ColumnSchema) -> list[tuple[str, list[Any], str]]:
    """(condition of a wrong row, its values, what is wrong) of a column."""
    quoted = _quoted(name)
    rules: list[tuple[str, list[Any], str]] = []
    if not column.nullable:
        rules.append((f"{quoted} IS NULL", [], "为空"))
    if column.sql_type == "DOUBLE":
        rules.append((f"NOT isfinite({quoted})", [], "是 NaN 或无穷"))
    for limit, sign, words in (
        (column.minimum, "<", "小于下限"),
        (column.maximum, ">", "大于上限"),
        (column.exclusive_minimum, "<=", "不大于"),
        (column.exclusive_maximum, ">=", "不小于"),
    ):
        if limit is not None:
            rules.append((f"{quoted} {sign} ?", [limit], f"{words} {limit:g}"))
    if column.enum is not None:
        places = ", ".join("?" for _ in column.enum)
        rules.append((f"{quoted} IS NOT NULL AND {quoted} NOT IN ({places})", list(column.enum), "不在可选值中"))
    return rules


def _run(card: Card, content: bytes, given: pa.Table, settled: dict[str, Any], folder: Path) -> pa.Table:
    if card.runtime == "sql":
        text = sql.check_sql(content)
        memory = max(card.limits.memory_mb, 256)
        with sql.open_database(folder / "spill-2", memory_mib=memory) as connection:
            return sql.run_sql(connection, card, text, given, settled)
    from algorithm_dev.engine import onnx

    session = onnx.open_session(content)
    names = [item.name for item in session.get_outputs()]
    inputs: Any = given.to_pylist() if isinstance(card.signature.inputs, Rows) else _tensors(card, given)
    outputs = onnx.outputs_of(card, names, session.run(names, onnx.feed_of(card, inputs, settled)), inputs)
    side = card.signature.outputs
    return table_of(side, outputs) if isinstance(side, Rows) else _columns(side, outputs)


def _tensors(card: Card, given: pa.Table) -> dict[str, Any]:
    import numpy as np

    from algorithm_dev.domain.tensor_check import DTYPES

    side = card.signature.inputs
    assert isinstance(side, Tensors)
    found: dict[str, Any] = {}
    for tensor in side.tensors:
        stacked = np.column_stack([given.column(name).to_numpy() for name in tensor.columns])
        array = stacked if len(tensor.shape) > 1 else stacked[:, 0]
        if not tensor.nan_allowed and not np.isfinite(array).all():
            raise InputWrong([(tensor.name, "有空值、NaN 或无穷")])
        found[tensor.name] = array.astype(DTYPES[tensor.dtype])
    return found


def _columns(side: Tensors, outputs: dict[str, Any]) -> pa.Table:
    columns: dict[str, Any] = {}
    for tensor in side.tensors:
        names, values = tensor_columns(tensor), outputs[tensor.name]
        for place, name in enumerate(names):
            columns[name] = values if len(tensor.shape) == 1 else [row[place] for row in values]
    return pa.table(columns)


def _write(card: Card, result: pa.Table, target: Path) -> None:
    """Parquet that the warehouse takes: times carry their zone."""
    import pyarrow.parquet as pq

    for name, column in output_columns(card).items():
        if name not in result.column_names:
            raise ResultWrong(f"结果缺少列 {name}")
        if column.logical_type == "timestamp":
            place = result.schema.get_field_index(name)
            result = result.set_column(place, name, result.column(name).cast(pa.timestamp("us", tz="UTC")))
    pq.write_table(result, target, compression="zstd")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
