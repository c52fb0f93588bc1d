"""Typing stretches that are right as a whole, beside each other: one pass of DuckDB, the rules, the census."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import duckdb
import pyarrow as pa
from brain_contracts.contract import DatasetContract

from data_hub.domain.push import Columns
from data_hub.domain.tables import SYSTEM_NAMES, ColumnField
from data_hub.engine.census import agrees, census_of_file
from data_hub.engine.detect import Rules
from data_hub.engine.distinct import KeyHashes
from data_hub.engine.duck import beside, disk_errors, literal, quoted
from data_hub.engine.readers import MAX_ROW_BYTES, Header

# A stretch is read by two threads, but looked through and written by one: two stretches keep two cores busy.
LANES = 2
T = TypeVar("T")


class Lane:
    """One connection that types sources of one push; for one thread at a time.

    schema: the columns asked for. keys: adds the hashes of the rows' keys to what is typed.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: DatasetContract,
        wanted: Columns,
        schema: Sequence[ColumnField],
        only_owner: str | None,
        keys: KeyHashes,
    ) -> None:
        self.duck = connection
        self._wanted = wanted
        self._asked = [column for column in schema if column.name not in SYSTEM_NAMES]
        self._types = {name: contract.column(name).duckdb_type for name in wanted.used}
        self._keys = keys
        self._rules = Rules(connection, contract, wanted, only_owner)

    def lines(self, path: Path) -> pa.Table | None:
        """NDJSON, typed; None when anything is wrong with it or may have been missed."""
        table = self.read(json_source(path, self._wanted.used, self._types), is_text=True)
        if table is None:
            return None
        census = census_of_file(path, MAX_ROW_BYTES)
        return table if census is not None and agrees(census, self._filled(table)) else None

    def records(self, path: Path, header: Header) -> pa.Table | None:
        """CSV without header, typed; None when anything is wrong with it."""
        return self.read(csv_source(path, header, self._types), set(header.names), is_text=True)

    def read(self, source: str, present: set[str] | None = None, *, is_text: bool = False) -> pa.Table | None:
        """Types a source in one pass and looks for broken rules; None when anything is wrong with it.

        present: columns that the source has, None for all. is_text: its times are text.
        """
        columns = ", ".join(_expression(column, present, is_text=is_text) for column in self._asked)
        try:
            with disk_errors():
                table = self.duck.sql(self._keys.with_hash(f"SELECT {columns} FROM {source}")).to_arrow_table()
            wrong = self._rules.are_broken(
                table, [name for name in self._wanted.used if present is None or name in present]
            )
        except duckdb.Error:
            return None
        return None if wrong else table

    def _filled(self, table: pa.Table) -> dict[str, int]:
        """Values that are not null by DuckDB type."""
        filled: dict[str, int] = {}
        for name, kind in self._types.items():
            column = table.column(name)
            filled[kind] = filled.get(kind, 0) + len(column) - column.null_count
        return filled


class Lanes:
    """Lanes with a thread each, made when the first is needed."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, make: Callable[[duckdb.DuckDBPyConnection], Lane]
    ) -> None:
        self._connection = connection
        self._make = make
        self._pool = ThreadPoolExecutor(LANES, "lane")
        self._free: SimpleQueue[Lane] = SimpleQueue()
        self._made = 0

    def submit(self, task: Callable[[Lane], T]) -> Future[T]:
        """Runs a task in the next free lane; called from one thread."""
        if self._made < LANES:
            self._made += 1
            self._free.put(self._make(beside(self._connection)))
        return self._pool.submit(self._run, task)

    def close(self) -> None:
        """Drops what has not begun and waits for what has."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, task: Callable[[Lane], T]) -> T:
        lane = self._free.get()
        try:
            return task(lane)
        finally:
            self._free.put(lane)


# DuckDB reads much more as a day or a time than the row checker does, and cuts off what it has no use for.
TIME_FORMS = {
    "DATE": "[0-9]{4}(-[0-9]{1,2}-[0-9]{1,2}|/[0-9]{1,2}/[0-9]{1,2})",
    "TIMESTAMP WITH TIME ZONE": "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
}


def _expression(column: ColumnField, present: set[str] | None, *, is_text: bool) -> str:
    name = quoted(column.name)
    if present is not None and column.name not in present:
        return f"NULL::{column.duckdb_type} AS {name}"
    return typed_expression(name, column.duckdb_type, is_text=is_text)


def typed_expression(name: str, duckdb_type: str, *, is_text: bool) -> str:
    """A column of a source as its type. Whole numbers come as floating ones, since DuckDB would round 1.5 to 2."""
    if duckdb_type == "BIGINT":
        fits = f"{name} = trunc({name}) AND abs({name}) <= 9007199254740992"
    elif is_text and duckdb_type in TIME_FORMS:
        fits = f"regexp_full_match({name}, {literal(TIME_FORMS[duckdb_type])})"
    else:
        return f"CAST({name} AS {duckdb_type}) AS {name}"
    return f"CASE WHEN {fits} OR {name} IS NULL THEN CAST({name} AS {duckdb_type}) ELSE error('form') END AS {name}"


def source_type(duckdb_type: str) -> str:
    """The type as which a column of text is read."""
    return "VARCHAR" if duckdb_type in TIME_FORMS else "DOUBLE" if duckdb_type == "BIGINT" else duckdb_type


def json_source(path: Path, names: Sequence[str], types: dict[str, str]) -> str:
    """NDJSON as a typed table function."""
    columns = ", ".join(f"{literal(name)}: {literal(source_type(types[name]))}" for name in names)
    return (
        f"read_json({literal(str(path))}, format = 'newline_delimited', columns = {{{columns}}},"
        f" maximum_object_size = {MAX_ROW_BYTES})"
    )


def csv_source(path: Path, header: Header, types: dict[str, str]) -> str:
    """CSV without header as a typed table function."""
    columns = ", ".join(f"{literal(name)}: {literal(source_type(types.get(name, 'VARCHAR')))}" for name in header.names)
    return (
        f"read_csv({literal(str(path))}, header = false, auto_detect = false, columns = {{{columns}}},"
        f" delim = {literal(header.delimiter)}, quote = '\"', escape = '\"', nullstr = '',"
        f" max_line_size = {MAX_ROW_BYTES})"
    )
