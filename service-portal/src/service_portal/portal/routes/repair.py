"""Sending data from a page: a file, or refused rows after they were mended in the page."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Annotated, Literal
from urllib.parse import quote

from brain_kit.problems import InvalidInput, TooLarge, UnsupportedMedia
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service_portal.portal.exports import XLSX, csv_bytes
from service_portal.portal.shapes import dataset_of
from service_portal.portal.visit import Sent, SignedIn, Visit, check_form_token, signed_in

router = APIRouter()
Mode = Literal["append", "upsert", "delete"]
UPLOAD_LIMIT_BYTES = 512_000_000
MEMORY_BYTES = 4_000_000
CHUNK_BYTES = 262_144
REPAIR_ROWS = 200
REPAIR_BYTES = 1_000_000
MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "xlsx": XLSX,
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "arrows": "application/vnd.apache.arrow.stream",
}


@dataclass
class RejectedRow:
    """A refused row as it came, with what is wrong: field to (code, reason)."""

    number: str
    values: list[str]
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class RepairTable:
    """Refused rows ready to be mended; left_out counts those beyond what one form takes."""

    columns: list[str]
    rows: list[RejectedRow]
    left_out: int


def repair_table(content: bytes, rejected: int, most: int = REPAIR_ROWS) -> RepairTable:
    """The reject file of a push as a table: one entry per row, though a row stands in the file once per error.

    Columns that begin with an underscore say what is wrong and are not data. Columns that no row fills and no error
    names are left out, and so are lines that could not be read as a row. rejected: refused rows of the push; those
    not in the table are counted as left out.
    """
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    columns = [name for name in reader.fieldnames or [] if not name.startswith("_")]
    rows: dict[str, RejectedRow] = {}
    for entry in reader:
        number = entry.get("_row") or str(len(rows) + 1)
        if entry.get("_raw"):
            continue
        row = rows.setdefault(number, RejectedRow(number, [entry.get(name) or "" for name in columns]))
        row.errors[entry.get("_field") or ""] = (entry.get("_code") or "", entry.get("_reason") or "")
    kept = list(rows.values())[:most]
    return _without_empty_columns(RepairTable(columns, kept, max(0, rejected - len(kept))))


def _without_empty_columns(table: RepairTable) -> RepairTable:
    used = [
        index
        for index, name in enumerate(table.columns)
        if any(row.values[index] or name in row.errors for row in table.rows)
    ]
    rows = [RejectedRow(row.number, [row.values[index] for index in used], row.errors) for row in table.rows]
    return RepairTable([table.columns[index] for index in used], rows, table.left_out)


@router.post("/pushes/{push_id}/repair")
def resubmit(sent: Sent, push_id: str) -> Response:
    """Push the mended rows anew to the same data set, in the same mode; then show the new push."""
    visit, form = sent.visit, sent.form
    receipt = visit.brain.push(push_id)
    columns = form.get("column") or []
    numbers = form.get("row") or []
    if not columns or not numbers:
        raise InvalidInput("没有可以重新提交的行。")
    chosen = set(form.get("take") or numbers)
    items = [
        {name: form.one(f"c-{number}-{index}") for index, name in enumerate(columns)}
        for number in numbers
        if number in chosen
    ]
    content = csv_bytes(columns, items)
    fresh = visit.brain.send_rows(receipt["dataset"], receipt.get("mode") or "append", "text/csv", content)
    return visit.go(f"/pushes/{quote(str(fresh['id']))}")


@router.get("/datasets/{name}/push")
def upload_form(visit: SignedIn, name: str) -> Response:
    """The form to push a file."""
    found = dataset_of(visit.brain.dataset(name), visit.locale)
    limit = UPLOAD_LIMIT_BYTES
    return visit.page("upload.html", dataset=found, limit=limit, types=sorted(MEDIA_TYPES), media_types=MEDIA_TYPES)


@dataclass(frozen=True)
class Upload:
    """A file sent by a page, spooled; the owner closes it."""

    visit: Visit
    file: IO[bytes]
    media_type: str


async def received_file(request: Request) -> Upload:
    """The body of a request in a spool file. Raises SignInNeeded, FormExpired, UnsupportedMedia or TooLarge."""
    visit = await run_in_threadpool(signed_in, request)
    check_form_token(visit, request.headers.get("x-form-token", ""))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in MEDIA_TYPES.values():
        raise UnsupportedMedia(f"不支持的文件类型。可用：{'、'.join(sorted(MEDIA_TYPES))}。")
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > UPLOAD_LIMIT_BYTES:
            spool.close()
            raise TooLarge(f"网页上传上限 {UPLOAD_LIMIT_BYTES // 1_000_000} MB；更大的文件请用 brain push 或接口推送。")
        spool.write(chunk)
    spool.seek(0)
    return Upload(visit, spool, media_type)


@router.post("/datasets/{name}/push")
def upload(received: Annotated[Upload, Depends(received_file)], name: str, mode: Mode = "append") -> Response:
    """Push the file with the person's own rights; answers where its receipt is shown."""
    with received.file:
        receipt = received.visit.brain.send_rows(name, mode, received.media_type, _chunks(received.file))
    return JSONResponse({"location": f"/pushes/{quote(str(receipt['id']))}"}, 201)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
