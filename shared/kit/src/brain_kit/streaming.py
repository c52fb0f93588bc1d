"""Streamed answers that let go of what they hold."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class ClosingStream(StreamingResponse):
    """Streams a generator and closes it as soon as it is read to its end or the caller has left.

    Starlette only drops it: its `finally` blocks, and the files and database cursors that they close, would wait for
    the garbage collector.
    """

    def __init__(
        self,
        content: Generator[bytes, None, None],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._content.close)
