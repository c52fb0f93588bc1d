"""The same rows as bodies in every format."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
Rows = list[dict[str, Any]]


def ndjson(rows: Rows) -> bytes:
    """One object a line."""
    return "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows).encode()


def csv_text(rows: Rows) -> str:
    """CSV with a header of all columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def xlsx(rows: Rows) -> bytes:
    """A workbook with one sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    names = list(dict.fromkeys(name for row in rows for name in row))
    sheet.append(names)
    for row in rows:
        sheet.append([row.get(name) for name in names])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet(rows: Rows) -> bytes:
    """A Parquet file."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def arrow(rows: Rows, *, compression: str | None = "zstd", file: bool = False) -> bytes:
    """An Arrow stream or file."""
    table = pa.Table.from_pylist(rows)
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    make = pa.ipc.new_file if file else pa.ipc.new_stream
    with make(out, table.schema, options=options) as writer:
        writer.write_table(table)
    return out.getvalue()


def bodies(rows: Rows) -> dict[str, tuple[bytes, str]]:
    """Name of the format -> (body, content type)."""
    return {
        "json": (json.dumps(rows, ensure_ascii=False, indent=1).encode(), "application/json"),
        "ndjson": (ndjson(rows), "application/x-ndjson"),
        "ndjson with BOM": (b"\xef\xbb\xbf" + ndjson(rows) + b"\n\n", "application/x-ndjson"),
        "csv": (csv_text(rows).encode(), "text/csv"),
        "csv with BOM": (csv_text(rows).encode("utf-8-sig"), "text/csv; charset=utf-8"),
        "csv in GB18030, said": (csv_text(rows).encode("gb18030"), "text/csv; charset=gb18030"),
        "csv in GB18030, not said": (csv_text(rows).encode("gb18030"), "text/csv"),
        "csv with semicolons": (csv_text(rows).replace(",", ";").encode(), "text/csv"),
        "xlsx": (xlsx(rows), XLSX),
        "parquet": (parquet(rows), PARQUET),
        "parquet by its other name": (parquet(rows), "application/x-parquet"),
        "arrow stream": (arrow(rows), ARROW),
        "arrow stream, not compressed": (arrow(rows, compression=None), ARROW),
        "arrow file": (arrow(rows, file=True), ARROW_FILE),
    }
