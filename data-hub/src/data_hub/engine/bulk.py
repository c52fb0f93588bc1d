"""Typing large pushes: SQL takes whole stretches that are right, the row checker takes those that are not.

A stretch goes to a typed Parquet file in one DuckDB pass. If a value cannot be read as its type, the census differs
or a rule is broken, the stretch is cut into pieces, and only the pieces with something wrong are read row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from brain_contracts.contract import DatasetContract

from data_hub.domain.push import columns_of
from data_hub.domain.refusals import ContentRefused
from data_hub.domain.row_check import RowChecker
from data_hub.domain.stamp import PushStamp
from data_hub.domain.tables import SYSTEM_NAMES, ColumnField
from data_hub.engine.behind import Behind
from data_hub.engine.census import agrees, census_of_file
from data_hub.engine.checked import RowCollector
from data_hub.engine.detect import Rules
from data_hub.engine.duck import copy_to_parquet, disk_errors, file_list, literal, quoted
from data_hub.engine.readers import MAX_ROW_BYTES, Entry, Header, read_lines, read_records
from data_hub.engine.rejects import RejectFile
from data_hub.engine.segments import line_pieces
from data_hub.engine.typed_files import TypedWriter

PIECE_BYTES = 2 << 20


@dataclass(frozen=True)
class TypedFile:
    """A typed Parquet file of a push; rows are numbered from first_row on unless it has a column `_row`."""

    path: Path
    rows: int
    first_row: int
    has_row: bool


@dataclass
class BulkResult:
    """What has been typed so far."""

    files: list[TypedFile] = field(default_factory=list)
    received: int = 0

    @property
    def accepted(self) -> int:
        """Rows that are right so far."""
        return sum(file.rows for file in self.files)


class BulkTyper:
    """Types the stretches of one push in order. fields: the columns of the table, with their Iceberg ids."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: DatasetContract,
        stamp: PushStamp,
        fields: Sequence[ColumnField],
        folder: Path,
        rejects: RejectFile,
    ) -> None:
        self.duck = connection
        self.contract = contract
        self.stamp = stamp
        self.wanted = columns_of(contract, stamp.mode)
        self.rejects = rejects
        self.result = BulkResult()
        self.behind = Behind()
        used = {*SYSTEM_NAMES, *self.wanted.used}
        self.schema = [column for column in fields if column.name in used]
        self._folder = folder
        self._number = 0
        self._rules = Rules(connection, contract, self.wanted, stamp.only_owner)

    def type_lines(self, path: Path) -> TypedFile | None:
        """A stretch of NDJSON; None when no row of it is right."""

        def strict(source: Path) -> pa.Table | None:
            table = self.read(json_source(source, self.wanted.used, self._types()), is_text=True)
            return table if table is not None and self._is_exact(source, table) else None

        return self._type(path, strict, read_lines, is_csv=False)

    def type_csv(self, path: Path, header: Header) -> TypedFile | None:
        """A stretch of CSV without header; None when no row of it is right."""

        def strict(source: Path) -> pa.Table | None:
            return self.read(csv_source(source, header, self._types()), set(header.names), is_text=True)

        def rows(data: bytes) -> Iterable[Entry]:
            return read_records(data.decode(), header)

        return self._type(path, strict, rows, is_csv=True)

    def read(self, source: str, present: set[str] | None = None, *, is_text: bool = False) -> pa.Table | None:
        """Types a source in one pass and looks for broken rules; None when anything is wrong with it.

        present: columns that the source has, None for all. is_text: its times are text.
        """
        asked = [column for column in self.schema if column.name not in SYSTEM_NAMES]
        columns = ", ".join(_expression(column, present, is_text=is_text) for column in asked)
        try:
            with disk_errors():
                table = self.duck.sql(f"SELECT {columns} FROM {source}").to_arrow_table()
            wrong = self._rules.are_broken(
                table, [name for name in self.wanted.used if present is None or name in present]
            )
        except duckdb.Error:
            return None
        return None if wrong else table

    def write(self, table: pa.Table, out: Path) -> None:
        """Writes typed rows into a file of their own."""
        with TypedWriter(out, self.schema, self.stamp) as writer:
            writer.add(table)

    def check_rows(self, entries: Iterable[Entry], first_row: int, *, is_text: bool) -> list[TypedFile]:
        """Judges rows one by one; the good ones go to files with `_row`, the others to the rejects."""
        checker = RowChecker(self.contract, self.stamp.mode, owner=self.stamp.only_owner, is_text=is_text)
        collector = RowCollector(checker, self.stamp, first_row, None)
        files = []
        for entry in entries:
            collector.add(entry)
            if collector.result.tables or len(collector.result.rejects) > 1000:
                files += self._drain(collector)
        collector.flush()
        files += self._drain(collector)
        self.result.received += collector.result.received
        return files

    def keep(self, rows: int, out: Path) -> TypedFile:
        """Takes a file that is typed whole, and perhaps still being written."""
        typed = TypedFile(out, rows, self.result.received + 1, has_row=False)
        self.result.received += rows
        self.result.files.append(typed)
        return typed

    def keep_piece(self, table: pa.Table) -> TypedFile:
        """Writes a part of a stretch of which another part is not right."""
        typed = TypedFile(self.new_path(), table.num_rows, self.result.received + 1, has_row=False)
        self.write(table, typed.path)
        self.result.received += typed.rows
        return typed

    def keep_mixed(self, files: list[TypedFile]) -> TypedFile | None:
        """Takes several files as one with `_row`."""
        files = [file for file in files if file.rows]
        if not files:
            return None
        joined = self.join(files) if len(files) > 1 or not files[0].has_row else files[0]
        self.result.files.append(joined)
        return joined

    def join(self, files: Sequence[TypedFile], condition: str = "true") -> TypedFile:
        """One file with `_row` of the rows of several that meet a condition."""
        out = self.new_path()
        query = f"SELECT * FROM ({rows_of(files)}) WHERE {condition}"
        rows = copy_to_parquet(self.duck, query, out, self.schema)
        for file in files:
            file.path.unlink()
        return TypedFile(out, rows, files[0].first_row, has_row=True)

    def new_path(self) -> Path:
        """Where the next file goes."""
        self._number += 1
        return self._folder / f"typed-{self._number:05d}.parquet"

    def _type(
        self,
        path: Path,
        strict: Callable[[Path], pa.Table | None],
        rows_in: Callable[[bytes], Iterable[Entry]],
        *,
        is_csv: bool,
    ) -> TypedFile | None:
        table = strict(path)
        if table is not None:
            if not table.num_rows:
                return None
            out = self.new_path()
            self.behind.do(self.write, table, out)
            return self.keep(table.num_rows, out)
        files: list[TypedFile] = []
        piece_path = self._folder / "piece.txt"
        for piece in line_pieces(path, PIECE_BYTES, quotes=is_csv):
            piece_path.write_bytes(piece)
            table = strict(piece_path)
            if table is None:
                files += self.check_rows(rows_in(piece), self.result.received + 1, is_text=is_csv)
            else:
                files.append(self.keep_piece(table))
        return self.keep_mixed(files)

    def _drain(self, collector: RowCollector) -> list[TypedFile]:
        self.rejects.add(collector.result.rejects)
        files = []
        for table in collector.result.tables:
            out = self.new_path()
            pq.write_table(table, out, compression="zstd")
            files.append(TypedFile(out, table.num_rows, 0, has_row=True))
        collector.result.rejects = []
        collector.result.tables = []
        return files

    def _is_exact(self, source: Path, table: pa.Table) -> bool:
        """Whether a typed read of NDJSON missed and bent nothing."""
        census = census_of_file(source, MAX_ROW_BYTES)
        return census is not None and agrees(census, self._filled(table))

    def _types(self) -> dict[str, str]:
        return {name: self.contract.column(name).duckdb_type for name in self.wanted.used}

    def _filled(self, table: pa.Table) -> dict[str, int]:
        """Values that are not null by DuckDB type."""
        filled: dict[str, int] = {}
        for name in self.wanted.used:
            kind, column = self.contract.column(name).duckdb_type, table.column(name)
            filled[kind] = filled.get(kind, 0) + len(column) - column.null_count
        return filled


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


def rows_of(files: Sequence[TypedFile]) -> str:
    """Typed files as one query with `_row`."""
    parts = []
    for file in files:
        path = file_list([file.path])
        if file.has_row:
            parts.append(f"SELECT * FROM read_parquet({path})")
        else:
            number = f"file_row_number + {file.first_row} AS _row"
            parts.append(
                f"SELECT * EXCLUDE (file_row_number), {number} FROM read_parquet({path}, file_row_number = true)"
            )
    return " UNION ALL BY NAME ".join(parts)


def refuse_too_many(rows: int, limit: int) -> None:
    """Raises ContentRefused above the limit of rows."""
    if rows > limit:
        raise ContentRefused("too_many_rows", f"超过 {limit} 行；请分成几次推送")
