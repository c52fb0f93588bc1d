"""Evidence files of reported values and assessments: up, down, away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Annotated, Literal
from urllib.parse import unquote

from brain_kit.problems import TooLarge
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service_portal.portal.evaluation_api import EvaluationApi
from service_portal.portal.exports import disposition
from service_portal.portal.security import safe_return
from service_portal.portal.visit import Sent, SignedIn, Visit, check_form_token, signed_in

router = APIRouter()
Kind = Literal["reports", "assessments"]
LIMIT_BYTES = 15 << 20
MEMORY_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Uploaded:
    """A file sent by a page, spooled; the owner closes it."""

    visit: Visit
    file: IO[bytes]
    media_type: str


async def received_evidence(request: Request) -> Uploaded:
    """The body of a request in a spool file. Raises SignInNeeded, FormExpired or TooLarge."""
    visit = await run_in_threadpool(signed_in, request)
    check_form_token(visit, request.headers.get("x-form-token", ""))
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by the route
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LIMIT_BYTES:
            spool.close()
            raise TooLarge(f"佐证材料上限 {LIMIT_BYTES >> 20} MB，请压缩或拆分后上传。")
        spool.write(chunk)
    spool.seek(0)
    return Uploaded(visit, spool, request.headers.get("content-type", ""))


@router.post("/evidence/{kind}/{identity}")
def upload(
    received: Annotated[Uploaded, Depends(received_evidence)],
    kind: Kind,
    identity: str,
    name: str,
    criterion: str = "",
) -> Response:
    """Passes a file on with the person's own rights; answers what the API keeps of it."""
    params = {"name": name} | ({"criterion": criterion} if criterion else {})
    with received.file:
        kept = EvaluationApi(received.visit.brain).add_evidence(
            kind, identity, _chunks(received.file), received.media_type, params
        )
    return JSONResponse(kept, 201)


@router.get("/evidence/{kind}/{identity}/{evidence}")
def download(visit: SignedIn, kind: Kind, identity: str, evidence: str) -> Response:
    """The file, always as a download; it is never shown inside this site."""
    api = EvaluationApi(visit.brain)
    with api.evidence(kind, identity, evidence) as reply:
        content = b"".join(reply.iter_bytes())
        name = reply.headers.get("content-disposition", "").rpartition("UTF-8''")[2] or evidence
        media = reply.headers.get("content-type", "application/octet-stream")
    return Response(content, media_type=media, headers=disposition(unquote(name)))


@router.post("/evidence/{kind}/{identity}/{evidence}/remove")
def remove(sent: Sent, kind: Kind, identity: str, evidence: str) -> Response:
    """Takes a file away."""
    EvaluationApi(sent.visit.brain).remove_evidence(kind, identity, evidence)
    return sent.visit.go(safe_return(sent.form.one("back")))


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
