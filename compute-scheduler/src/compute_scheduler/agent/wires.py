"""Calls of an agent in a process of its own to the platform that started it, over pairs of sockets.

The sockets have no name and no address: only the two processes hold their ends, so no call needs a key. A call takes a
wire for as long as it lasts, so there are as many at once as there are wires. When either process ends, the other's
reads end.

A frame is a kind of one byte, four bytes of length, and that many bytes. A question is a `head` with {do, body}, and is
answered by a `head` or a `failure` (a problem). A request to a route is a `head` with {method, path, headers,
timeout_s}, the body's `data` and an `end`; its answer is a `head` with {status, headers}, `data` and an `end`, or
a `failure` at any place.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from brain_kit.client import Call, ServiceUnreachable
from brain_kit.problems import Problem, problem_body, problem_from

Json = dict[str, Any]
HEAD, DATA, END, FAILURE = b"H", b"D", b"E", b"F"
_FRAME = struct.Struct("!cI")


class Wire:
    """One end of a pair. Raises OSError and EOFError when the other process is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reading = end.makefile("rb", buffering=1 << 16)

    def send(self, kind: bytes, text: bytes = b"") -> None:
        """Sends a frame."""
        self._end.sendall(_FRAME.pack(kind, len(text)) + text)

    def tell(self, head: Json) -> None:
        """Sends a head."""
        self.send(HEAD, orjson.dumps(head))

    def fail(self, problem: Problem) -> None:
        """Sends a failure."""
        self.send(FAILURE, orjson.dumps(problem_body(problem)))

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame: its kind and what it carries."""
        kind, size = _FRAME.unpack(self._exactly(_FRAME.size))
        return kind, self._exactly(size)

    def heard(self) -> Json:
        """The next frame, which is a head. Raises the problem of a failure."""
        kind, text = self.receive()
        said: Json = orjson.loads(text)
        if kind == FAILURE:
            raise problem_from(int(said["status"]), said)
        return said

    def chunks(self) -> Iterator[bytes]:
        """The data up to the end. Raises the problem of a failure."""
        while True:
            kind, text = self.receive()
            if kind == END:
                return
            if kind == FAILURE:
                said = orjson.loads(text)
                raise problem_from(int(said["status"]), said)
            yield text

    def close(self) -> None:
        """Ends it for both, also for a thread that waits here."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._reading.close()
        self._end.close()

    def _exactly(self, size: int) -> bytes:
        text: bytes = self._reading.read(size)
        if len(text) < size:
            raise EOFError("the other end is closed")
        return text


class Wires:
    """The agent's ends; safe among threads. As a transport it carries requests to the routes of the service.

    worn: called when half of them were lost, as happens when a route does not read a body to its end.
    """

    def __init__(self, ends: Sequence[socket.socket], worn: Callable[[], None]) -> None:
        self._free: queue.LifoQueue[Wire] = queue.LifoQueue()
        self._most_lost = len(ends) // 2
        self._lost = 0
        self._worn = worn
        for end in ends:
            self._free.put(Wire(end))

    def ask(self, do: str, body: Json) -> Json:
        """Asks the exchange itself. Raises Problem when refused, ServiceUnreachable when the platform is gone."""
        wire = self._free.get()
        is_whole = False
        try:
            wire.tell({"do": do, "body": body})
            answer = wire.heard()
            is_whole = True
        except Problem:
            is_whole = True
            raise
        except (OSError, EOFError) as error:
            raise _gone() from error
        finally:
            self._over(wire, is_whole)
        return answer

    def open(self, call: Call) -> _Reply:
        """Sends a request and waits for the head of its answer. Raises Problem, ServiceUnreachable."""
        wire = self._free.get()
        reply = _Reply(wire, self)
        try:
            head = {"method": call.method, "path": call.path, "headers": call.headers, "timeout_s": call.timeout_s}
            wire.tell(head)
            for chunk in (call.body,) if isinstance(call.body, bytes) else call.body:
                if chunk:
                    wire.send(DATA, chunk)
            wire.send(END)
            reply.begin(wire.heard())
        except Problem:
            self._over(wire, True)
            raise
        except (OSError, EOFError) as error:
            self._over(wire, False)
            raise _gone() from error
        except BaseException:  # the body failed, and nobody knows where
            self._over(wire, False)
            raise
        return reply

    def close(self) -> None:
        """The ends are closed with the process."""

    def _over(self, wire: Wire, is_whole: bool) -> None:
        """A wire on which something is still to come is of no use to the next call."""
        if is_whole:
            self._free.put(wire)
            return
        wire.close()
        self._lost += 1
        if self._lost >= self._most_lost:
            self._worn()


class _Reply:
    status = 0

    def __init__(self, wire: Wire, wires: Wires) -> None:
        self.headers: dict[str, str] = {}
        self._wire = wire
        self._wires = wires
        self._is_over = False

    def begin(self, head: Json) -> None:
        self.status = int(head["status"])
        self.headers = dict(head["headers"])

    def iter_bytes(self) -> Iterator[bytes]:
        try:
            yield from self._wire.chunks()
        except (OSError, EOFError) as error:
            self._end(False)
            raise _gone() from error
        except Problem:
            self._end(True)
            raise
        self._end(True)

    def close(self) -> None:
        """The rest is read and left: a stretch of a file, at most."""
        if not self._is_over:
            try:
                for _ in self._wire.chunks():
                    pass
            except Problem:
                pass
            except (OSError, EOFError):
                self._end(False)
            self._end(True)

    def _end(self, is_whole: bool) -> None:
        if not self._is_over:
            self._is_over = True
            self._wires._over(self._wire, is_whole)


def _gone() -> ServiceUnreachable:
    return ServiceUnreachable("平台进程已经结束 the platform's process has ended", service="compute-scheduler")
