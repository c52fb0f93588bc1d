"""HTTP/1.1 as the platform's door speaks it: uvicorn's, with bounds on a request's head, and answers given at once."""

from __future__ import annotations

import os
from asyncio import TimerHandle
from contextlib import suppress
from typing import Any, cast

from brain_kit.prompt import Answer, prompt_of
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 65_536
HEAD_S = 20.0
OFFERED_BYTES = 65_536  # of a body that is waited for before a request goes on


class HeadTooLarge(Exception):
    """The head of a request is over the limit."""


class GuardedProtocol(HttpToolsProtocol):
    """Refuses what uvicorn would collect without end: heads of any size, sent at any pace.

    A request that the application may answer at once is offered to it when it has come whole, before there is a task
    for it. Timers are left to run and look at the clock when they fire: most requests need none.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._idle_since: float | None = None
        self._prompt = prompt_of(self.config.app)
        self._offered: list[bytes] | None = None  # the body so far of a request that may be answered at once
        self._fd: int | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts the clock: also a connection that never sends a byte ends."""
        super().connection_made(transport)
        plain = transport.get_extra_info("socket") if self.scheme == "http" else None
        self._fd = None if plain is None else plain.fileno()
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks; who waits for the rest of a body learns that it will not come."""
        self._fd = None
        self._stop_clock()
        if self._offered is not None:
            self._take_on()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that is not complete yet."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._offered is not None and sum(map(len, self._offered)) > OFFERED_BYTES:
            self._take_on()
        if self._in_head and self._head_bytes:
            self._start_clock()
            if self._head_bytes > HEAD_BYTES:
                self._refuse()

    def on_headers_complete(self) -> None:
        """The head is there; what follows is a body, and the service's to bound."""
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value) + 4
        self._head_bytes = size
        if size > HEAD_BYTES:
            raise HeadTooLarge
        self._in_head = False
        self._stop_clock()
        if self._may_offer():
            self._offered = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hands a piece on as it came where none waits before it; uvicorn would copy it twice."""
        if self._offered is not None:
            self._offered.append(body)
            return
        cycle = self.cycle
        if not cycle.body and not cycle.response_complete:
            cycle.body = body  # type: ignore[assignment]  # uvicorn asks for its bytes and for adding more only
            body = b""
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Answers at once what can be; the next byte is the head of another request."""
        self._in_head = True
        self._head_bytes = 0
        if self._offered is not None:
            if self._answers():
                return
            self._take_on()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Starts the request that waits, else notes since when the connection is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._watch_idle(self.timeout_keep_alive)

    def shutdown(self) -> None:
        """Ends after the request at hand."""
        if self._offered is not None:
            self._take_on()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that was idle for so long; looks again later at one that was not."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s <= 0:
            self.transport.close()
        else:
            self._watch_idle(left_s)

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be read, unless the connection is being closed for that already."""
        self._offered = None
        if self._head_bytes > HEAD_BYTES:
            self._refuse()
        elif not self.transport.is_closing():
            super().send_400_response(msg)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _watch_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _may_offer(self) -> bool:
        """Whether the request at hand is one to answer at once, on a connection where none is under way."""
        return (
            self._prompt is not None
            and self._prompt.at_once_paths.fullmatch(self.url) is not None
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _answers(self) -> bool:
        """Whether the request on offer was answered."""
        assert self._prompt is not None
        assert self._offered is not None
        scope, pieces = cast("dict[str, Any]", self.scope), self._offered
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"], scope["raw_path"] = self.url.decode("ascii"), self.url
        answer = self._prompt.at_once(scope, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if answer is None:
            return False
        self._offered = None
        self._write_now(_written(self.server_state.default_headers, answer))
        self.on_response_complete()
        return True

    def _take_on(self) -> None:
        """The request on offer becomes one like all others."""
        assert self._offered is not None
        pieces, self._offered = self._offered, None
        super().on_headers_complete()
        for piece in pieces:
            self.on_body(piece)

    def _write_now(self, data: bytes) -> None:
        # The transport would write only when every request that waits is answered: the caller of the first would wait
        # for all of them, and its next request with it.
        if self._fd is not None and not self.transport.get_write_buffer_size():
            with suppress(OSError):  # no room, or gone: the transport knows what to do
                data = data[os.write(self._fd, data) :]
        if data:
            self.transport.write(data)

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


def _written(defaults: list[tuple[bytes, bytes]], answer: Answer) -> bytes:
    """An answer as it goes over the wire. Raises ValueError on a header that would be read as two."""
    lines = [STATUS_LINE[answer.status]]
    for name, value in (*defaults, *answer.headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) // 4 + 2 or head.count(b"\r") != len(lines) // 4 + 2 or b"\0" in head:
        raise ValueError("a header of an answer has a line end in it")
    return head + answer.body
