"""The SQL runtime: one SELECT over the tables `input` and `parameters` in a DuckDB closed to everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.signature import Rows
from algorithm_dev.engine.tables import ResultWrong, conform

MAX_SQL_BYTES = 1 << 20


class SqlRefused(ValueError):
    """The file is not one SELECT."""


def check_sql(content: bytes) -> str:
    """The text of a SQL component. Raises SqlRefused when it is no text, or not exactly one SELECT."""
    if len(content) > MAX_SQL_BYTES:
        raise SqlRefused(f"SQL 文件 {len(content):,} 字节，上限 {MAX_SQL_BYTES:,} 字节")
    try:
        sql = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SqlRefused(f"SQL 文件不是 UTF-8 文本（第 {error.start} 字节），请另存为 UTF-8") from error
    if "\0" in sql:
        raise SqlRefused("SQL 文件含有 NUL 字符")
    with open_database(None) as connection:
        row = connection.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [sql]).fetchall()[0]
    answer = json.loads(str(row[0]))
    if answer.get("error"):
        message = str(answer.get("error_message", ""))[:300]
        if "Only SELECT" in message:
            raise SqlRefused("SQL 组件只能是一条 SELECT（可带 WITH）：写入、设置、附加、导入导出都不可用")
        raise SqlRefused(f"SQL 语法错误：{message}")
    if len(answer.get("statements", [])) != 1:
        raise SqlRefused(f"SQL 组件应恰为一条 SELECT，这里有 {len(answer.get('statements', []))} 条")
    return sql


def open_database(folder: Path | None, *, memory_mib: int = 256, threads: int = 1) -> duckdb.DuckDBPyConnection:
    """An empty database. folder: where it may spill to disk; None: nowhere."""
    config: dict[str, Any] = {
        "memory_limit": f"{memory_mib}MiB",
        "threads": threads,
        "async_threads": 1,
        "temp_directory": "" if folder is None else str(folder),
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run_sql(
    connection: duckdb.DuckDBPyConnection, card: Card, sql: str, given: pa.Table, settled: dict[str, Any]
) -> pa.Table:
    """The result of a checked text on a table of input columns, with the card's output columns.

    connection: a new database; it is closed to files, network and settings before the text runs. settled: a value of
    every parameter. Raises duckdb.Error, ResultWrong.
    """
    inputs, outputs = card.signature.inputs, card.signature.outputs
    if not isinstance(inputs, Rows) or not isinstance(outputs, Rows):
        raise ResultWrong("SQL 组件的输入和输出都是行")
    connection.register("given", given)
    listed = ", ".join(
        f"CAST({_quoted(name)} AS {column.sql_type}) AS {_quoted(name)}" for name, column in inputs.columns.items()
    )
    order = f" ORDER BY {', '.join(_quoted(name) for name in inputs.order_by)}" if inputs.order_by else ""
    connection.execute(f"CREATE TABLE input AS SELECT {listed} FROM given{order}")
    connection.unregister("given")
    _parameters(connection, card, settled)
    for statement in ("SET enable_external_access = false", "SET lock_configuration = true"):
        connection.execute(statement)
    result = connection.sql(sql).to_arrow_table()
    if result.num_rows > outputs.max_rows:
        raise ResultWrong(f"结果有 {result.num_rows:,} 行，卡片写明至多 {outputs.max_rows:,} 行")
    return conform(outputs, result)


def _parameters(connection: duckdb.DuckDBPyConnection, card: Card, settled: dict[str, Any]) -> None:
    kinds = {item.name: item.sql_type for item in card.signature.parameters}
    if not kinds:
        connection.execute("CREATE TABLE parameters AS SELECT 1 AS none")
        return
    listed = ", ".join(f"CAST(${name} AS {kind}) AS {_quoted(name)}" for name, kind in kinds.items())
    connection.execute(f"CREATE TABLE parameters AS SELECT {listed}", {name: settled[name] for name in kinds})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
