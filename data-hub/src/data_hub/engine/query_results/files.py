"""Results as files: CSV, Arrow stream, Parquet. Written batch by batch, so memory does not grow with the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from data_hub.domain.query.problems import SizeLimit
from data_hub.engine.query_results.values import text_column, unique_names

Format = Literal["csv", "arrow", "parquet"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
BOM = b"\xef\xbb\xbf"
# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = r"^[=+\-@\t\r]"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class CsvOptions:
    """bom: begin with a byte order mark, which Excel needs for Chinese. escape_formulas: texts that a spreadsheet
    would run as a formula get a `'` in front; the file then no longer carries exactly the stored text.
    """

    bom: bool = False
    escape_formulas: bool = False


class ResultFile:
    """A file that a result is written to. Raises SizeLimit when it grows over `max_bytes`."""

    def __init__(self, path: Path, kind: Format, max_bytes: int, options: CsvOptions | None = None) -> None:
        self.path = path
        self._kind = kind
        self._max_bytes = max_bytes
        self._options = options or CsvOptions()
        self._file: BinaryIO = path.open("xb")
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch; the first one, which may be empty, gives the columns."""
        shown = self._shown(batch)
        if self._writer is None:
            self._writer = self._open(shown.schema)
        self._writer.write_batch(shown)
        if self._file.tell() > self._max_bytes:
            limit = self._max_bytes // MEBIBYTE
            raise SizeLimit(f"结果超过 {limit} MiB 的导出上限：请减少列或分批导出", limit_mib=limit)

    def close(self) -> None:
        """Finish the file."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._file.close()

    def discard(self) -> None:
        """Close and remove the file, whatever state it is in."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _open(self, schema: pa.Schema) -> Any:
        if self._kind == "arrow":
            return pa.ipc.new_stream(self._file, schema)
        if self._kind == "parquet":
            return pq.ParquetWriter(self._file, schema, compression="zstd")
        if self._options.bom:
            self._file.write(BOM)
        return pacsv.CSVWriter(self._file, schema, write_options=pacsv.WriteOptions(quoting_style="needed"))

    def _shown(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns: list[pa.Array] = [_decoded(column) for column in batch.columns]
        names = unique_names(batch.schema.names)
        if self._kind == "csv":
            columns = [text_column(column) for column in columns]
            if self._options.escape_formulas:
                columns = [_defused(column) for column in columns]
                names = [_defused(pa.array([name]))[0].as_py() for name in names]
        elif self._kind == "parquet":
            columns = [text_column(column) if _without_parquet_form(column.type) else column for column in columns]
        return pa.record_batch(columns, names=names)


def _decoded(column: pa.Array) -> pa.Array:
    """Plain values: DuckDB's enums differ from batch to batch, which files cannot follow."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _without_parquet_form(kind: pa.DataType) -> bool:
    return bool(pa.types.is_interval(kind) or kind == pa.month_day_nano_interval())


def _defused(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    risky = pc.match_substring_regex(column, _FORMULA)
    return pc.if_else(risky, pc.binary_join_element_wise(pa.scalar("'", column.type), column, ""), column)
