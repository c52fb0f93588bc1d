"""Answers with rows: JSON pages and files, chosen by the Accept header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import anyio.from_thread
import orjson
from brain_kit.openapi import gives
from brain_kit.problems import Problem
from brain_kit.streaming import ClosingStream
from fastapi import Depends, Header, Query, Request, Response

from data_hub.engine.query_results.files import CsvOptions, Format
from data_hub.service.query.exports import Export, ExportForm

FORMATS: dict[str, Format | None] = {
    "application/json": None,
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/*": None,
    "text/*": "csv",
    "*/*": None,
}
ROWS = gives("application/json", "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")


class NotAcceptable(Problem):
    """None of the formats that the caller accepts can be given."""

    status, code, title = 406, "not_acceptable", "Not acceptable"


def chosen_form(accept: str | None, *, bom: bool = False, escape_formulas: bool = False) -> ExportForm | None:
    """The file format that an Accept header asks for; None for JSON. Raises NotAcceptable."""
    for kind in _preferences(accept or "*/*"):
        if kind in FORMATS:
            chosen = FORMATS[kind]
            return None if chosen is None else ExportForm(chosen, CsvOptions(bom, escape_formulas))
    offered = [kind for kind in FORMATS if "*" not in kind]
    raise NotAcceptable(f"不支持 Accept: {accept}；可用：{'、'.join(offered)}", offered=offered)


async def wanted_form(
    accept: Annotated[str | None, Header()] = None,
    bom: Annotated[bool, Query(description="CSV begins with a byte order mark, for Excel")] = False,
    escape_formulas: Annotated[bool, Query(description="CSV texts never start a formula in a spreadsheet")] = False,
) -> ExportForm | None:
    """`chosen_form` of a request; asynchronous so that it needs no thread of its own."""
    return chosen_form(accept, bom=bom, escape_formulas=escape_formulas)


Form = Annotated[ExportForm | None, Depends(wanted_form)]


def json_response(body: dict[str, Any]) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), media_type="application/json")


def file_response(export: Export, name: str) -> Response:
    """A finished file as an answer, sent piece by piece."""
    headers = {
        "Content-Length": str(export.size),
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Query-Id": export.id,
        "X-Row-Count": str(export.rows),
    }
    if export.next is not None:
        headers["X-Next-Page"] = export.next
    if export.snapshot is not None:
        headers["X-Snapshot"] = export.snapshot
    media_type = f"{export.media_type}; charset=utf-8" if export.format == "csv" else export.media_type
    return ClosingStream(export.chunks(), media_type=media_type, headers=headers)


def caller_gone(request: Request) -> Callable[[], bool]:
    """Whether the client has hung up; to be asked from the thread that serves the request."""

    def gone() -> bool:
        try:
            return anyio.from_thread.run(request.is_disconnected)
        except RuntimeError:
            # Not in a thread of the event loop, so there is nobody to ask.
            return False

    return gone


def _preferences(accept: str) -> list[str]:
    """Media types of an Accept header, the most wanted first; those with q=0 are left out."""
    found = []
    for number, part in enumerate(accept.split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if weight > 0:
            found.append((-weight, number, kind))
    return [kind for _, _, kind in sorted(found)]
