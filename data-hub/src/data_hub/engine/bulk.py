"""Typing large pushes: SQL takes whole stretches that are right, the row checker takes those that are not.

A stretch goes to a typed Parquet file in one DuckDB pass. If a value cannot be read as its type, the census differs
or a rule is broken, the stretch is cut into pieces, and only the pieces with something wrong are read row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from brain_contracts.contract import DatasetContract

from data_hub.domain.push import columns_of
from data_hub.domain.refusals import ContentRefused
from data_hub.domain.row_check import RowChecker
from data_hub.domain.stamp import PushStamp
from data_hub.domain.tables import SYSTEM_NAMES, ColumnField
from data_hub.engine.behind import Behind
from data_hub.engine.checked import RowCollector
from data_hub.engine.distinct import KeyHashes, key_hashes
from data_hub.engine.duck import copy_to_parquet, file_list
from data_hub.engine.lanes import Lane, Lanes
from data_hub.engine.readers import Entry, Header, read_lines, read_records
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


@dataclass(frozen=True)
class Typed:
    """What a stretch that was right as a whole has come to: its rows, and the sorted hashes of their keys."""

    rows: int
    hashes: npt.NDArray[np.uint64] | None


@dataclass(frozen=True)
class Stretch:
    """Rows of a body that are being typed as a whole into `out`. header: of CSV, None for NDJSON."""

    path: Path
    header: Header | None
    out: Path
    typed: Future[Typed | None]


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
        self.keys = KeyHashes(contract.key)
        used = {*SYSTEM_NAMES, *self.wanted.used}
        self.schema = [column for column in fields if column.name in used]
        self._folder = folder
        self._number = 0
        self.lane = self._lane(connection)
        self._lanes = Lanes(connection, self._lane)

    def begin(self, path: Path, header: Header | None, gate: AbstractContextManager[object]) -> Stretch:
        """Begins to type a stretch; `finish` has to be called for each in the same order.

        header: of CSV, whose stretches have none; None for NDJSON. gate: held while rows are typed.
        """

        out = self.new_path()

        def type_whole(lane: Lane) -> Typed | None:
            with gate:
                table = _strict(lane, path, header)
                if table is None:
                    return None
                if table.num_rows:
                    self.write(table, out)
                return Typed(table.num_rows, key_hashes(table))

        return Stretch(path, header, out, self._lanes.submit(type_whole))

    def finish(self, stretch: Stretch, gate: AbstractContextManager[object]) -> TypedFile | None:
        """Takes a stretch, row by row where it is not right as a whole; None when no row of it is right."""
        typed = stretch.typed.result()
        if typed is None:
            with gate:
                return self._take_pieces(stretch)
        if not typed.rows:
            return None
        self.keys.take(typed.rows, typed.hashes)
        return self.keep(typed.rows, stretch.out)

    def close(self) -> None:
        """Ends its threads; what has not begun is dropped."""
        self._lanes.close()
        self.behind.close()

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
        self.keys.miss()
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

    def _lane(self, connection: duckdb.DuckDBPyConnection) -> Lane:
        return Lane(connection, self.contract, self.wanted, self.schema, self.stamp.only_owner, self.keys)

    def new_path(self) -> Path:
        """Where the next file goes."""
        self._number += 1
        return self._folder / f"typed-{self._number:05d}.parquet"

    def _take_pieces(self, stretch: Stretch) -> TypedFile | None:
        files: list[TypedFile] = []
        piece_path, header = self._folder / "piece.txt", stretch.header
        for piece in line_pieces(stretch.path, PIECE_BYTES, quotes=header is not None):
            piece_path.write_bytes(piece)
            table = _strict(self.lane, piece_path, header)
            if table is None:
                entries = read_lines(piece) if header is None else read_records(piece.decode(), header)
                files += self.check_rows(entries, self.result.received + 1, is_text=header is not None)
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


def _strict(lane: Lane, path: Path, header: Header | None) -> pa.Table | None:
    return lane.lines(path) if header is None else lane.records(path, header)


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
