"""Rows as Arrow tables of a signature's columns, and results as rows of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from algorithm_dev.domain.signature import ColumnSchema, Rows

ARROW = {
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


class ResultWrong(ValueError):
    """The component did not give the columns of its card; the text says which."""


def arrow_type(column: ColumnSchema) -> pa.DataType:
    """The Arrow type of a column."""
    return ARROW[column.sql_type]


def table_of(side: Rows, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Checked rows as a table with every column of the signature; what a row leaves out is null."""
    columns = {
        name: pa.array([_given(column, row.get(name)) for row in rows], type=arrow_type(column))
        for name, column in side.columns.items()
    }
    return pa.table(columns)


def _given(column: ColumnSchema, value: Any) -> Any:
    if value is None or column.format is None:
        return float(value) if column.sql_type == "DOUBLE" and value is not None else _whole(column, value)
    if column.format == "date":
        return value if isinstance(value, date) else date.fromisoformat(value)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    # TIMESTAMP has no zone: a time with one is taken to UTC, as the warehouse keeps it.
    if moment.tzinfo is None:
        return moment
    from datetime import UTC

    return moment.astimezone(UTC).replace(tzinfo=None)


def _whole(column: ColumnSchema, value: Any) -> Any:
    return int(value) if column.sql_type == "BIGINT" and isinstance(value, float) else value


def conform(side: Rows, table: pa.Table) -> pa.Table:
    """A result with exactly the card's output columns, in their types. Raises ResultWrong."""
    names = {name.lower(): name for name in table.column_names}
    missing = [name for name in side.columns if name.lower() not in names]
    surplus = [name for name in table.column_names if name.lower() not in {known.lower() for known in side.columns}]
    if missing or surplus:
        parts = [f"缺少 {'、'.join(missing)}"] * bool(missing) + [f"多出 {'、'.join(surplus)}"] * bool(surplus)
        raise ResultWrong(f"结果的列与卡片的输出不符：{'；'.join(parts)}")
    columns = {}
    for name, column in side.columns.items():
        found = table.column(names[name.lower()])
        try:
            columns[name] = found.cast(arrow_type(column))
        except pa.ArrowException as error:
            told = str(error).splitlines()[0][:160]
            raise ResultWrong(f"结果列 {name} 的类型 {found.type} 不能作为 {column.sql_type}：{told}") from error
    return pa.table(columns)


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """A table as rows of JSON: times as ISO text, NaN and infinities as null."""
    columns = [(name, _plain(table.column(name))) for name in table.column_names]
    return [dict(zip([name for name, _ in columns], values, strict=True)) for values in _zipped(columns, table)]


def _zipped(columns: Sequence[tuple[str, list[Any]]], table: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(values for _, values in columns), strict=True) if columns else iter([()] * table.num_rows)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [value if value is not None and value - value == 0 else None for value in values]
    if pa.types.is_temporal(column.type):
        return [None if value is None else value.isoformat() for value in values]
    return values
