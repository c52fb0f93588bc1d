"""Writing typed rows of a push into one Parquet file that can become a data file as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from data_hub.domain.stamp import PushStamp
from data_hub.domain.tables import ColumnField
from data_hub.engine.checked import ARROW_TYPES
from data_hub.engine.duck import ZSTD_LEVEL, disk_errors

# Twice what DuckDB writes: each group has dictionaries of its own, and making them is most of the work.
ROW_GROUP_ROWS = 1 << 18


class TypedWriter:
    """A Parquet file with Iceberg field ids and the system columns of a push. Arrow takes a third of DuckDB's time.

    schema: the columns of the file. Raises SpoolFull when the disk is full.
    """

    def __init__(self, path: Path, schema: Sequence[ColumnField], stamp: PushStamp) -> None:
        self.rows = 0
        self._names = [column.name for column in schema]
        # One value for all rows: as a dictionary it costs a byte a row.
        self._fixed = {
            "_owner": pa.array([stamp.owner]),
            "_push": pa.array([stamp.push_id]),
            "_pushed_at": pa.array([stamp.pushed_at], ARROW_TYPES["TIMESTAMP WITH TIME ZONE"]),
        }
        self._schema = pa.schema([self._field(column) for column in schema])
        with disk_errors():
            self._writer = pq.ParquetWriter(
                path, self._schema, compression="zstd", compression_level=ZSTD_LEVEL, store_schema=False
            )

    def __enter__(self) -> TypedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors():
            self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Appends rows that have every column but the fixed ones."""
        columns = [self._column(name, table) for name in self._names]
        with disk_errors():
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), ROW_GROUP_ROWS)
        self.rows += table.num_rows

    def _field(self, column: ColumnField) -> pa.Field:
        kind = ARROW_TYPES[column.duckdb_type]
        if column.name in self._fixed and pa.types.is_string(kind):
            kind = pa.dictionary(pa.int8(), kind)
        return pa.field(column.name, kind, metadata={"PARQUET:field_id": str(column.field_id)})

    def _column(self, name: str, table: pa.Table) -> pa.Array | pa.ChunkedArray:
        value = self._fixed.get(name)
        if value is None:
            return table.column(name).cast(self._schema.field(name).type)
        if pa.types.is_string(value.type):
            places = pa.repeat(pa.scalar(0, pa.int8()), table.num_rows)
            return pa.DictionaryArray.from_arrays(places, value)
        return pa.repeat(value[0], table.num_rows)
