"""Rows through the checker into typed Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from brain_contracts.contract import DatasetContract

from data_hub.domain.push import Reject
from data_hub.domain.row_check import Key, RowChecker
from data_hub.domain.stamp import PushStamp
from data_hub.engine.readers import Entry, dumper

ARROW_TYPES: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
}
BATCH_ROWS = 50_000
COMPRESSED_FROM_BYTES = 64 << 10


@dataclass
class CheckedRows:
    """What came of a stretch of rows."""

    received: int = 0
    tables: list[pa.Table] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """Rows that are right."""
        return sum(table.num_rows for table in self.tables)

    @property
    def table(self) -> pa.Table:
        """The rows that are right, as one table."""
        return pa.concat_tables(self.tables)


def table_schema(contract: DatasetContract, names: tuple[str, ...], *, with_row: bool) -> pa.Schema:
    """The Arrow schema of staged rows: system columns, then those that the push uses, then `_row`."""
    fields = [
        pa.field("_owner", pa.string()),
        pa.field("_push", pa.string()),
        pa.field("_pushed_at", ARROW_TYPES["TIMESTAMP WITH TIME ZONE"]),
        *(pa.field(name, ARROW_TYPES[contract.column(name).duckdb_type]) for name in names),
    ]
    return pa.schema([*fields, pa.field("_row", pa.int64())] if with_row else fields)


class RowCollector:
    """Checks rows of one push in order and collects the good ones.

    first_row: the number of the first row. seen: keys met so far, to find repeated ones; None leaves that to others.
    """

    def __init__(self, checker: RowChecker, stamp: PushStamp, first_row: int, seen: dict[Key, int] | None) -> None:
        self.result = CheckedRows()
        self._checker = checker
        self._stamp = stamp
        self._next = first_row
        self._seen = seen if checker.contract.key else None
        self._schema = table_schema(checker.contract, checker.names, with_row=True)
        self._columns: list[list[Any]] = [[] for _ in checker.names]
        self._rows: list[int] = []

    def add_all(self, entries: Iterable[Entry]) -> CheckedRows:
        """Checks all the rows; returns the result."""
        for entry in entries:
            self.add(entry)
        self.flush()
        return self.result

    def add(self, entry: Entry) -> None:
        """Checks one row."""
        number = self._next
        self._next += 1
        self.result.received += 1
        if entry.row is None:
            self.result.rejects.append(self._checker.malformed(number, entry.original(), entry.error))
            return
        values, rejects = self._checker.check(entry.row, number, entry.original)
        if not rejects and self._seen is not None:
            key = self._checker.key_of(values)
            first = self._seen.setdefault(key, number)
            if first != number:
                rejects = [self._checker.duplicate(number, first, key, entry.original())]
        if rejects:
            self.result.rejects += rejects
            return
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self._rows.append(number)
        if len(self._rows) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Turns the rows collected so far into a table."""
        if not self._rows:
            return
        count = len(self._rows)
        stamp = self._stamp
        fixed = [pa.repeat(pa.scalar(value, kind), count) for value, kind in (
            (stamp.owner, pa.string()), (stamp.push_id, pa.string()), (stamp.pushed_at, self._schema.field(2).type)
        )]  # fmt: skip
        own = [
            pa.array(values, self._schema.field(place).type) for place, values in enumerate(self._columns, len(fixed))
        ]
        arrays = [*fixed, *own, pa.array(self._rows, pa.int64())]
        self.result.tables.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in self._columns]
        self._rows = []


def to_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow stream, compressed when that is worth its start-up cost."""
    sink = pa.BufferOutputStream()
    compression = "lz4" if table.nbytes > COMPRESSED_FROM_BYTES else None
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """The table of `to_ipc`."""
    return pa.ipc.open_stream(data).read_all()


def entries_of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[Entry]:
    """Rows of Arrow batches."""
    for batch in batches:
        for row in batch.to_pylist():
            yield Entry(row, dumper(row))
