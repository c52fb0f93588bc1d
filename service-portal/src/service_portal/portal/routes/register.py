"""Registering a component from the page: files first, then the card that names them."""

from __future__ import annotations

import json
import tempfile
from typing import Annotated, Any
from urllib.parse import quote

import yaml
from brain_kit.problems import InvalidInput, TooLarge
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service_portal.portal.routes.repair import CHUNK_BYTES, MEMORY_BYTES, Upload
from service_portal.portal.visit import Visit, check_form_token, signed_in

router = APIRouter()
FILE_LIMIT_BYTES = 256_000_000
CARD_LIMIT_BYTES = 4_000_000
KINDS = {"sql": "application/sql", "onnx": "application/onnx"}


async def received_artefact(request: Request) -> Upload:
    """The body of a request in a spool file. Raises SignInNeeded, FormExpired or TooLarge."""
    visit = await _sender(request)
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > FILE_LIMIT_BYTES:
            spool.close()
            raise TooLarge(f"组件文件上限 {FILE_LIMIT_BYTES // 1_000_000} MB。")
        spool.write(chunk)
    spool.seek(0)
    return Upload(visit, spool, "application/octet-stream")


async def received_card(request: Request) -> tuple[Visit, bytes]:
    """The card as it was written. Raises SignInNeeded, FormExpired or TooLarge."""
    visit = await _sender(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > CARD_LIMIT_BYTES:
            raise TooLarge(f"卡片上限 {CARD_LIMIT_BYTES // 1_000_000} MB。")
    return visit, bytes(body)


async def _sender(request: Request) -> Visit:
    visit = await run_in_threadpool(signed_in, request)
    check_form_token(visit, request.headers.get("x-form-token", ""))
    return visit


@router.post("/components/register/files")
def put_file(received: Annotated[Upload, Depends(received_artefact)]) -> Response:
    """Hands one file to the registry; answers its digest and size."""
    with received.file:
        made = received.visit.brain.put_artefact(iter(lambda: received.file.read(CHUNK_BYTES), b""))
    return JSONResponse(made, 201)


@router.post("/components/register/card")
def put_card(received: Annotated[tuple[Visit, bytes], Depends(received_card)], request: Request) -> Response:
    """Registers the card; digests and sizes of the files just sent are filled in by name."""
    visit, text = received
    card = _card(text)
    for item in card.get("artefacts") or ():
        if isinstance(item, dict):
            _fill(item, request.headers.get(f"x-file-{str(item.get('path', '')).encode().hex()}", ""))
    name, version = str(card.get("name") or ""), str(card.get("version") or "")
    if not name or not version:
        raise InvalidInput("卡片要有 name 和 version。")
    made = visit.brain.put_component(name, version, card)
    place = f"/components/{quote(str(made['name']))}?version={quote(str(made['version']))}"
    return JSONResponse({"location": place}, 201)


def _fill(item: dict[str, Any], sent: str) -> None:
    digest, _, size = sent.partition(":")
    if size.isdigit():
        item |= {"sha256": digest, "bytes": int(size)}
        ending = str(item["path"]).rpartition(".")[2]
        item.setdefault("media_type", KINDS.get(ending, "application/octet-stream"))


def _card(text: bytes) -> dict[str, Any]:
    try:
        # YAML reads 1e-06 as a text, so JSON is read as JSON.
        if text.lstrip().startswith(b"{"):
            return dict(json.loads(text))
        # A few lines of aliases could unfold to gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            raise InvalidInput("卡片中不接受别名（*name），请写出全文。")
        card = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"卡片不是 JSON 或 YAML：{' '.join(str(error).split())[:300]}") from error
    if not isinstance(card, dict):
        raise InvalidInput("卡片应为一个对象（键值结构）。")
    return card
