"""Typing bodies that are read as one file: JSON arrays, spreadsheets, Parquet, Arrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data_hub.engine.bulk import BulkTyper, TypedFile
from data_hub.engine.checked import entries_of_batches
from data_hub.engine.columnar import arrow_batches, check_parquet, parquet_refused
from data_hub.engine.distinct import key_hashes
from data_hub.engine.duck import literal
from data_hub.engine.media import Format
from data_hub.engine.readers import MAX_ROW_BYTES, malformed_body
from data_hub.engine.segments import LineSegments
from data_hub.engine.typed_files import ROW_GROUP_ROWS, TypedWriter
from data_hub.engine.xlsx import read_xlsx

FETCHED_ROWS = 2_000
BATCH_ROWS = 50_000
# From which Arrow types a column may be cast without a look at each value.
SAFE_SOURCES: dict[str, Callable[[pa.DataType], bool]] = {
    "VARCHAR": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "BIGINT": lambda kind: pa.types.is_signed_integer(kind) or kind in (pa.uint8(), pa.uint16(), pa.uint32()),
    "DOUBLE": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
    "BOOLEAN": pa.types.is_boolean,
    "DATE": pa.types.is_date32,
    "TIMESTAMP WITH TIME ZONE": lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
}


def lines_of_array(typer: BulkTyper, path: Path, segments: LineSegments) -> None:
    """Writes the objects of a JSON array, one a line, into stretches. Raises ContentRefused when it is not JSON."""
    with path.open("rb") as source:
        head = source.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] not in (b"[", b"{"):
        raise malformed_body("应为对象的数组 [{…}, …]")
    form = "array" if head[:1] == b"[" else "unstructured"
    query = (
        f"SELECT json(json)::VARCHAR FROM read_json_objects({literal(str(path))}, format = '{form}',"
        f" maximum_object_size = {2 * MAX_ROW_BYTES})"
    )
    try:
        found = typer.duck.execute(query)
        while rows := found.fetchmany(FETCHED_ROWS):
            segments.write([("\n".join(row[0] or "null" for row in rows) + "\n").encode()])
    except duckdb.Error as error:
        raise malformed_body(_json_words(str(error))) from error
    finally:
        path.unlink(missing_ok=True)
    segments.close()


def _json_words(text: str) -> str:
    if "maximum_object_size" in text:
        return f"一个对象超过 {MAX_ROW_BYTES >> 20} MiB"
    # The text names the file in the spool; where in the body it is may be told, where on the server not.
    place = re.search(r"in record/value ([0-9]+)", text)
    return f"不是合法的 JSON（第 {place[1]} 个对象附近）" if place else "不是合法的 JSON，可能不完整"


def type_xlsx(typer: BulkTyper, path: Path, limit_bytes: int) -> None:
    """Rows of a spreadsheet."""
    with path.open("rb") as source:
        entries = read_xlsx(source, typer.wanted, limit_bytes)
        typer.keep_mixed(typer.check_rows(entries, 1, is_text=True))


def type_columnar(typer: BulkTyper, path: Path, media: Format) -> None:
    """A Parquet or Arrow body: into one file when every batch is right, else batch by batch."""
    if _type_right(typer, path, media):
        return
    files: list[TypedFile] = []
    for batch in _batches(typer, path, media, BATCH_ROWS):
        files += _type_batch(typer, batch)
    typer.keep_mixed(files)


def _type_right(typer: BulkTyper, path: Path, media: Format) -> bool:
    """Types a body that has nothing wrong with it; False, leaving no trace, at the first batch that has."""
    out = typer.new_path()
    is_right = True
    with TypedWriter(out, typer.schema, typer.stamp) as writer:
        for batch in _batches(typer, path, media, ROW_GROUP_ROWS):
            table = _typed(typer, batch)
            if table is None:
                is_right = False
                break
            typer.keys.take(table.num_rows, key_hashes(table))
            typer.behind.do(writer.add, table)
        typer.behind.finish()
    if is_right and writer.rows:
        typer.keep(writer.rows, out)
    else:
        out.unlink()
    return is_right


def _typed(typer: BulkTyper, batch: pa.RecordBatch) -> pa.Table | None:
    if not _is_safe(typer, batch.schema, tuple(batch.schema.names)):
        return None
    typer.duck.register("one_batch", pa.Table.from_batches([batch]))
    try:
        return typer.lane.read("one_batch", set(batch.schema.names))
    finally:
        typer.duck.unregister("one_batch")


def _batches(typer: BulkTyper, path: Path, media: Format, size: int) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as source:
        if media is not Format.PARQUET:
            yield from _joined(arrow_batches(source, media, typer.wanted), size)
            return
        names = check_parquet(source, typer.wanted)
        try:
            with pq.ParquetFile(source) as file:
                yield from file.iter_batches(batch_size=size, columns=list(names))
        except (pa.ArrowException, OSError) as error:
            raise parquet_refused(error) from error


def _joined(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Small batches put together, large ones cut: a writer may have chosen a batch a row."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        for start in range(0, batch.num_rows, size):
            piece = batch.slice(start, size)
            held.append(piece)
            rows += piece.num_rows
            if rows >= size:
                yield from pa.Table.from_batches(held).combine_chunks().to_batches()
                held, rows = [], 0
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _type_batch(typer: BulkTyper, batch: pa.RecordBatch) -> list[TypedFile]:
    first_row = typer.result.received + 1
    table = _typed(typer, batch)
    if table is None:
        return typer.check_rows(entries_of_batches([batch]), first_row, is_text=False)
    return [typer.keep_piece(table)]


def _is_safe(typer: BulkTyper, schema: pa.Schema, names: tuple[str, ...]) -> bool:
    used = [name for name in names if name in typer.wanted.used]
    return all(SAFE_SOURCES[typer.contract.column(name).duckdb_type](schema.field(name).type) for name in used)
