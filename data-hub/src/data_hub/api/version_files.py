"""HTTP routes of the files of versions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any, BinaryIO

from brain_kit.acting import ActingCaller
from brain_kit.openapi import gives
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Path, Query, Request, Response

from data_hub.api.answers import caller_gone
from data_hub.service.version_files import CHUNK_BYTES, VersionFiles

OCTETS = "application/octet-stream"
FileName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$", description="`name` of the manifest")]


def routes(files: VersionFiles) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/datasets/{name}/versions/{version}/files", tags=["versions"])

    @router.get("", summary="版本的文件清单")
    def list_version_files(name: str, version: str, caller: ActingCaller, request: Request) -> dict[str, Any]:
        """Parquet files with what the caller may see of a version: sizes, SHA-256 of each and of the whole."""
        return files.manifest(caller, name, version, caller_gone(request))

    @router.get("/{file}", summary="下载版本的文件", response_class=Response, responses=gives(OCTETS))
    def read_version_file(
        name: str,
        version: str,
        file: FileName,
        caller: ActingCaller,
        offset: Annotated[int, Query(ge=0, description="first byte, from 0")] = 0,
        length: Annotated[int | None, Query(ge=1, description="bytes; empty: to the end")] = None,
    ) -> Response:
        """A stretch of a file; X-File-Size is the size of the whole, so a copy that broke off can go on."""
        stream, size = files.open(caller, name, version, file, offset, length)
        sent = max(0, size - offset) if length is None else max(0, min(length, size - offset))
        headers = {
            "Content-Length": str(sent),
            "Content-Disposition": "attachment",
            "X-Content-Type-Options": "nosniff",
            "X-File-Size": str(size),
        }
        return ClosingStream(_chunks(stream), media_type=OCTETS, headers=headers)

    return router


def _chunks(stream: BinaryIO) -> Generator[bytes, None, None]:
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
