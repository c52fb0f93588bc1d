"""HTTP routes of files."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.acting import ActingCaller
from brain_kit.openapi import gives, takes
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from compute_scheduler.service.files import Files, Receiving, chunks
from compute_scheduler.service.tenancy import Actor

OCTETS = "application/octet-stream"
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content, hex")]


def file_routes(files: Files) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["files"])

    @router.put("/files", status_code=201, summary="上传文件", openapi_extra=takes(OCTETS))
    async def put_file(caller: ActingCaller, request: Request) -> dict[str, Any]:
        """Keeps the body as a file of the organisation; its address is its digest, so a repeat is harmless."""
        Actor(caller).check_may_run()
        received = await received_body(files, request)
        try:
            return await run_in_threadpool(files.keep, caller, caller.org, received)
        finally:
            received.close()

    @router.get("/files/{sha256}", summary="下载文件", response_class=Response, responses=gives(OCTETS))
    def get_file(sha256: Digest, caller: ActingCaller) -> Response:
        """The content of a file of the organisation."""
        stream, size = files.open(Actor(caller), sha256)
        return file_answer(stream, size)

    return router


async def received_body(files: Files, request: Request) -> Receiving:
    """The body of a request, digested. Raises FileTooLarge."""
    received = files.receive()
    try:
        async for chunk in request.stream():
            if chunk:
                await run_in_threadpool(received.add, chunk)
    except BaseException:
        received.close()
        raise
    return received


def file_answer(stream: Any, size: int) -> Response:
    """A stream as a download that no browser executes."""
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
    }
    return ClosingStream(_generated(stream), media_type="application/octet-stream", headers=headers)


def _generated(stream: Any) -> Any:
    yield from chunks(stream)
