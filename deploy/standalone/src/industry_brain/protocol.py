"""HTTP/1.1 as the platform's door speaks it: uvicorn's, with a bound on the size and the time of a request's head."""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
HEAD_S = 20.0


class HeadTooLarge(Exception):
    """The head of a request is over the limit."""


class GuardedProtocol(HttpToolsProtocol):
    """Refuses what uvicorn would collect without end: heads of any size, sent at any pace."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts the clock: also a connection that never sends a byte ends."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that is not complete yet."""
        if self._in_head:
            self._start_clock()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refuse()

    def on_headers_complete(self) -> None:
        """The head is there; what follows is a body, and the service's to bound."""
        self._head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._head_bytes > HEAD_BYTES:
            raise HeadTooLarge
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hands a piece on as it came where none waits before it; uvicorn would copy it twice."""
        cycle = self.cycle
        if not cycle.body and not cycle.response_complete:
            cycle.body = body  # type: ignore[assignment]  # uvicorn asks for its bytes and for adding more only
            body = b""
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next byte is the head of another request."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be read, unless the connection is being closed for that already."""
        if self._head_bytes > HEAD_BYTES:
            self._refuse()
        elif not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        body = b"Request head too large."
        head = (
            f"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_clock(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.close()
