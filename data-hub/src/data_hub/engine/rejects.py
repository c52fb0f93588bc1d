"""Files of rejected rows: Parquet with the reason of each and the row as it came."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from data_hub.domain.push import Reject

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("field", "value", "code", "reason", "fix", "original")),
    ]
)
NAMES = tuple(item.name for item in fields(Reject))
BATCH = 5_000


class RejectWriter:
    """Writes rejects in order; memory does not grow with their number."""

    def __init__(self, target: Path | BinaryIO) -> None:
        self._writer = pq.ParquetWriter(target, SCHEMA, compression="zstd")
        self._batch: list[Reject] = []

    def add(self, rejects: Sequence[Reject]) -> None:
        """Adds rejects."""
        self._batch += rejects
        if len(self._batch) >= BATCH:
            self._flush()

    def close(self) -> None:
        """Completes the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._batch:
            columns = list(zip(*map(astuple, self._batch), strict=True))
            arrays = [pa.array(values, item.type) for values, item in zip(columns, SCHEMA, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
            self._batch = []


class RejectFile:
    """Rejects of one push on their way into a file, with their number and the first of them."""

    def __init__(self, path: Path, shown: int) -> None:
        self.path = path
        self.count = 0
        self.first: list[Reject] = []
        self._shown = shown
        self._writer: RejectWriter | None = None

    def add(self, rejects: Sequence[Reject]) -> None:
        """Adds rejects; the file is made with the first."""
        if not rejects:
            return
        if self._writer is None:
            self._writer = RejectWriter(self.path)
        self._writer.add(rejects)
        self.count += len(rejects)
        self.first += rejects[: max(0, self._shown - len(self.first))]

    def close(self) -> None:
        """Completes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def rejects_bytes(rejects: Sequence[Reject]) -> bytes:
    """The file of a few rejects."""
    buffer = io.BytesIO()
    writer = RejectWriter(buffer)
    writer.add(rejects)
    writer.close()
    return buffer.getvalue()


def read_rejects(source: Path, start: int = 0, limit: int | None = None) -> Iterator[Reject]:
    """Rejects of a file in order, from a place on."""
    skipped, left = start, limit
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=BATCH):
            if skipped >= batch.num_rows:
                skipped -= batch.num_rows
                continue
            for row in batch.slice(skipped).to_pylist():
                if left is not None:
                    if left == 0:
                        return
                    left -= 1
                yield Reject(**row)
            skipped = 0


def csv_lines(rejects: Iterator[Reject], columns: Sequence[str]) -> Generator[bytes, None, None]:
    """The rejects as CSV, ready to be mended and sent again: the contract's columns, then what is wrong.

    A line that is not a row stands in `_raw`. Columns that begin with `_` are ignored by a push.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([*columns, "_row", "_field", "_code", "_reason", "_fix", "_raw"])
    for reject in rejects:
        row = _original(reject)
        raw = "" if row is not None else reject.original
        cells = [_cell((row or {}).get(name)) for name in columns]
        writer.writerow([*cells, reject.row, reject.field, reject.code, reject.reason, reject.fix, raw])
        if buffer.tell() > 1 << 16:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _original(reject: Reject) -> dict[str, Any] | None:
    try:
        row = orjson.loads(reject.original)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)
