"""A small service behind the gateway that shows what reached it and misbehaves on demand."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from typing import Any

from brain_kit.auth import Caller, claims_of, public
from brain_kit.service import Platform, create_app
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

BLOCK = bytes(range(256)) * 256  # 64 KiB


class Note(BaseModel):
    """A small JSON body."""

    text: str


class Toy:
    """The application, and what happened in it."""

    def __init__(self, platform: Platform, name: str = "data-hub") -> None:
        self.seen: list[str] = []
        self.left = threading.Event()
        self.began = threading.Event()
        self.app = create_app(name, platform, title="Toy")
        self._add_plain(self.app)
        self._add_streams(self.app)

    def _add_plain(self, app: FastAPI) -> None:
        @app.get("/v1/echo/{rest:path}")
        @app.post("/v1/echo/{rest:path}")
        def echo(request: Request, rest: str, caller: Caller) -> dict[str, Any]:
            self.seen.append(request.url.path)
            headers = [[name, value] for name, value in request.headers.items()]
            query = request.url.query
            return {"path": rest, "query": query, "headers": headers, "caller": claims_of(caller)}

        @app.post("/v1/notes")
        def note(body: Note, caller: Caller) -> dict[str, int]:
            self.seen.append("note")
            return {"length": len(body.text)}

        @app.get("/v1/status/{status}")
        @app.post("/v1/status/{status}")
        def status(status: int, caller: Caller) -> Response:
            body = b"" if status in (204, 304) else b"x" * 10
            return Response(body, status, headers={"x-own": "1", "keep-alive": "9"})

        @app.get("/v1/crash")
        def crash(caller: Caller) -> None:
            raise RuntimeError("a bug with password=hunter2")

        @app.get("/internal/secret")
        @public("the gateway must never let anybody reach this")
        def secret() -> str:
            self.seen.append("secret")
            return "secret"

    def _add_streams(self, app: FastAPI) -> None:
        @app.post("/v1/datasets/{name}/pushes")
        @app.post("/v1/sink")
        async def sink(request: Request, caller: Caller) -> dict[str, Any]:
            size, digest = 0, hashlib.sha256()
            self.began.set()
            try:
                async for chunk in request.stream():
                    size += len(chunk)
                    digest.update(chunk)
            except ClientDisconnect:
                self.left.set()
                raise
            self.seen.append(f"sink {size}")
            return {"size": size, "sha256": digest.hexdigest()}

        @app.get("/v1/source")
        async def source(blocks: int, caller: Caller, die: bool = False) -> StreamingResponse:
            return StreamingResponse(self._blocks(blocks, die), media_type="application/octet-stream")

        @app.get("/v1/short")
        async def short(caller: Caller) -> StreamingResponse:
            headers = {"content-length": str(2 * len(BLOCK))}
            return StreamingResponse(self._blocks(1, False), headers=headers)

        @app.get("/v1/slow")
        async def slow(caller: Caller, seconds: float) -> str:
            await asyncio.sleep(seconds)
            return "late"

    async def _blocks(self, count: int, die: bool) -> AsyncIterator[bytes]:
        try:
            self.began.set()
            for _ in range(count):
                yield BLOCK
                await asyncio.sleep(0)
            if die:
                raise RuntimeError("died in the middle")
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise
