"""Tries a call of the catalogue: through the gateway itself, with the token of the person who is signed in.

So a try is authenticated, limited, metered and recorded like any other call. A pasted key never comes here: the
browser sends such a call to the gateway directly.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from brain_kit.problems import Unavailable
from starlette.types import ASGIApp, Message

MOST_SHOWN_BYTES = 256 * 1024


@dataclass
class ApiDoor:
    """Where the API is; the gateway is connected once it is built."""

    app: ASGIApp | None = None


@dataclass(frozen=True)
class Try:
    """A call to be tried: `target` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


async def try_call(door: ApiDoor, call: Try, token: str, client: Any, scheme: str) -> dict[str, Any]:
    """Status, headers, the first part of the body and the time of a call. Raises Unavailable."""
    if door.app is None:
        raise Unavailable("接口暂时不能在这里试用，请用 curl 调用。")
    heard = _Heard()
    started = time.perf_counter()
    done = asyncio.Event()
    try:
        await door.app(_scope(call, token, client, scheme), _sender(call.body, done), heard.send)
    finally:
        done.set()
    elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
    text = _text(bytes(heard.content), heard.header("content-type"))
    return {
        "status": heard.status,
        "headers": heard.headers,
        "body": text,
        "size": heard.size,
        "is_cut": text is not None and heard.size > MOST_SHOWN_BYTES,
        "elapsed_ms": elapsed_ms,
    }


class _Heard:
    """What an application answers; of a long body only the beginning is kept."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.content = bytearray()
        self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            piece = message.get("body", b"")
            self.size += len(piece)
            self.content += piece[: max(0, MOST_SHOWN_BYTES - len(self.content))]

    def header(self, wanted: str) -> str:
        return next((value for name, value in self.headers if name.lower() == wanted), "")


def _scope(call: Try, token: str, client: Any, scheme: str) -> dict[str, Any]:
    path, _, query = call.target.partition("?")
    headers = {"content-length": str(len(call.body)), "authorization": f"Bearer {token}"} | {
        name.lower(): value for name, value in call.headers.items()
    }
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": client,
        "server": None,
    }


def _sender(body: bytes, done: asyncio.Event) -> Any:
    """The body, and then silence: who asks again waits, for the caller is still there until the answer is."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await done.wait()
        return {"type": "http.disconnect"}

    return receive


def _text(content: bytes, content_type: str) -> str | None:
    """The body as text; None when it is a file."""
    kind = content_type.partition(";")[0].strip()
    is_text = kind.startswith("text/") or kind.endswith(("json", "yaml", "sql", "xml")) or not content
    return content.decode("utf-8", "replace") if is_text else None
