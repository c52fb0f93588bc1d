"""Many values in one statement, and many rows out of one, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session


def rows_of_list(session: Session, parameter: str, kind: str) -> str:
    """SQL for a table with one column `value`, holding the elements of the list parameter, in order.

    kind: their SQL type, `text` or `bigint`. Pass the list through `list_parameter`.
    """
    if _is_sqlite(session):
        return f"json_each(:{parameter})"
    return f"unnest(CAST(:{parameter} AS {kind}[])) AS listed(value)"


def list_parameter(session: Session, values: Sequence[Any]) -> Any:
    """The list as the driver of the session takes it for `rows_of_list`."""
    return orjson.dumps(values).decode() if _is_sqlite(session) else list(values)


def insert_rows(session: Session, table: sa.TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows, all with the same columns, as `session.execute(sa.insert(table), rows)` does, defaults apart.

    On SQLite values are turned into what is stored column by column, which costs two thirds. Raises IntegrityError.
    """
    if not rows:
        return
    if not _is_sqlite(session):
        session.execute(sa.insert(table), list(rows))
        return
    connection = session.connection()
    statement, turns = _insert(table, tuple(rows[0]), connection.dialect)
    columns = [
        [row[name] for row in rows] if turn is None else [turn(row[name]) for row in rows]
        for name, turn in turns.items()
    ]
    connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))


@cache
def _insert(
    table: sa.TableClause, names: tuple[str, ...], dialect: sa.Dialect
) -> tuple[str, dict[str, Callable[[Any], Any] | None]]:
    """The statement, and by column what turns a value into what the driver takes."""
    columns = [table.c[name] for name in names]
    quoted = ", ".join([dialect.identifier_preparer.format_column(column) for column in columns])
    statement = f"INSERT INTO {table.name} ({quoted}) VALUES ({', '.join('?' * len(names))})"
    turns: dict[str, Callable[[Any], Any] | None] = {
        column.name: column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns
    }
    return statement, turns


def rows_of(result: sa.Result[Any]) -> list[dict[str, Any]]:
    """Each row as a dictionary by column; costs a quarter of `dict(row)` of each mapping."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
