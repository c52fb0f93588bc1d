"""Downloads of what a list shows: CSV for every tool, XLSX for the office."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from brain_kit.client import StreamedReply
from brain_kit.spreadsheets import harmless
from brain_kit.streaming import ClosingStream
from starlette.responses import Response

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Excel refuses longer cells.
CELL_LIMIT = 32_767
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def disposition(filename: str) -> dict[str, str]:
    """Header that offers an answer as a file; names may be Chinese (RFC 6266)."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename)}"}


def csv_bytes(columns: Sequence[str], items: Iterable[dict[str, Any]]) -> bytes:
    """UTF-8 with byte order mark, so that spreadsheets show Chinese right; None becomes an empty cell.

    A text that a spreadsheet would run as a formula gets a `'` in front: names come from anybody.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for item in items:
        writer.writerow(["" if item.get(name) is None else harmless(item.get(name)) for name in columns])
    return BYTE_ORDER_MARK + text.getvalue().encode()


def xlsx_bytes(columns: Sequence[str], items: Iterable[dict[str, Any]], title: str) -> bytes:
    """A workbook of one sheet. Text stays text: a value that looks like a formula is not run."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet(_sheet_title(title))
    sheet.append(list(columns))
    for item in items:
        cells = []
        for name in columns:
            value = item.get(name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            cell = WriteOnlyCell(sheet, value if number or value is None else str(value)[:CELL_LIMIT])
            if not number and value is not None:
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _sheet_title(title: str) -> str:
    return "".join("_" if mark in "[]:*?/\\" else mark for mark in title)[:31] or "data"


def every(ask: Callable[[str], dict[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    """The items of a list page after page, about `most` of them. ask: the page after a place, the first after ''."""
    after, count = "", 0
    while count < most:
        page = ask(after)
        yield from page["items"]
        count += len(page["items"])
        if not page["next"]:
            return
        after = page["next"]


def as_file(kind: str, name: str, columns: Sequence[str], items: Iterable[dict[str, Any]]) -> Response:
    """The download of a list; kind is csv or xlsx."""
    if kind == "xlsx":
        return Response(xlsx_bytes(columns, items, name), media_type=XLSX, headers=disposition(f"{name}.xlsx"))
    return Response(csv_bytes(columns, items), media_type="text/csv; charset=utf-8", headers=disposition(f"{name}.csv"))


def streamed(
    stream: AbstractContextManager[StreamedReply], media_type: str, filename: str, head: bytes = b""
) -> Response:
    """A file as the API sends it, piece by piece, after `head`.

    The stream is entered here, before the answer starts: a refusal becomes a page instead of a broken file.
    """
    reply = stream.__enter__()

    def chunks() -> Generator[bytes, None, None]:
        try:
            if head:
                yield head
            yield from reply.iter_bytes()
        finally:
            stream.__exit__(None, None, None)

    return ClosingStream(chunks(), media_type=media_type, headers=disposition(filename))
