"""Calls between the platform and its agent's own process: questions, bodies both ways, refusals, ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest
from brain_kit.client import Call, ServiceClient, ServiceUnreachable
from brain_kit.problems import Conflict, Problem
from compute_scheduler.agent.apart import WiredLink
from compute_scheduler.agent.keeper import Keeper
from compute_scheduler.agent.wires import Wire, Wires

BIG = bytes(range(256)) * 20_000


class Exchange:
    """Answers questions as the exchange does."""

    def pull(self, body: dict[str, Any]) -> dict[str, Any]:
        """Says what it was asked."""
        return {"asked": body}

    def report(self, body: dict[str, Any]) -> dict[str, Any]:
        """Refuses."""
        raise Conflict("会话已被取代", retry_after_s=5)

    def open_session(self, body: dict[str, Any]) -> dict[str, Any]:
        """Fails."""
        raise ZeroDivisionError


class Answer:
    """An answer of a route."""

    def __init__(self, status: int, body: bytes, breaks: bool = False) -> None:
        self.status, self.headers = status, {"x-kind": "test"}
        self._body, self._breaks = body, breaks

    def iter_bytes(self) -> Iterator[bytes]:
        """In pieces."""
        for first in range(0, len(self._body), 1_000_000):
            yield self._body[first : first + 1_000_000]
        if self._breaks:
            raise ServiceUnreachable("中断")


class Routes:
    """`/echo` gives the body back, `/refuse` does not read it, `/break` breaks off, `/stuck` goes on reading."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @contextmanager
    def stream(self, method: str, path: str, *, content: Any, headers: Any, timeout_s: float) -> Iterator[Answer]:
        """As ServiceClient does."""
        self.asked.append(f"{method} {path} {headers.get('x-name', '')} {timeout_s:g}")
        body = iter([content] if isinstance(content, bytes) else content)
        match path:
            case "/echo":
                yield Answer(200, b"".join(body))
            case "/refuse":
                yield Answer(413, b"too long")
            case "/stuck":
                next(body), next(body)
                threading.Thread(target=_read_on, args=(body,), daemon=True).start()
                time.sleep(0.1)
                yield Answer(413, b"too long")
            case "/break":
                yield Answer(200, BIG, breaks=True)


def _read_on(body: Iterator[bytes]) -> None:
    with suppress(EOFError):
        next(body)


class Pair:
    """Both ends, the platform's in threads."""

    def __init__(self, count: int = 2) -> None:
        self.routes = Routes()
        pairs = [socket.socketpair() for _ in range(count)]
        keeper = Keeper(
            cast(Any, Exchange()), cast(ServiceClient, self.routes), cast(Any, None), "local", cast(Any, None)
        )
        self.ends = [Wire(pair[0]) for pair in pairs]
        for end in self.ends:
            threading.Thread(target=keeper._answer, args=(end,), daemon=True).start()
        self.worn = threading.Event()
        self.wires = Wires([pair[1] for pair in pairs], self.worn.set)

    def call(self, method: str, path: str, body: Any = b"") -> tuple[int, bytes]:
        """A request's status and body."""
        reply = self.wires.open(Call(method, path, {"x-name": "n"}, body, 7.0))
        try:
            return reply.status, b"".join(reply.iter_bytes())
        finally:
            reply.close()


@pytest.fixture
def pair() -> Pair:
    """Two wires."""
    return Pair()


def test_questions_are_answered_refused_and_survive_a_failure(pair: Pair) -> None:
    """A problem keeps its code and members; what fails says so without the reason, which stands in the log."""
    link = WiredLink(pair.wires, "local")
    for _ in range(3):
        assert link.pull({"wait_s": 1}) == {"asked": {"wait_s": 1}}
        with pytest.raises(Problem) as refused:
            link.report({})
        assert (refused.value.status, refused.value.code) == (409, "conflict")
        assert refused.value.members == {"retry_after_s": 5}
        with pytest.raises(Problem, match="平台处理失败") as failed:
            link.open_session({})
        assert failed.value.status == 500


@pytest.mark.parametrize("body", [b"", b"short", BIG])
def test_bodies_go_both_ways(pair: Pair, body: bytes) -> None:
    """Empty, short, and five megabytes in pieces; on the same wires again and again."""
    for _ in range(3):
        assert pair.call("PUT", "/echo", body) == (200, body)
        assert pair.call("PUT", "/echo", iter([body[:7], b"", body[7:]])) == (200, body)
    assert pair.routes.asked[0] == "PUT /echo n 7"


def test_a_body_that_nobody_reads_does_not_spoil_the_wire(pair: Pair) -> None:
    """The refusal arrives, and the next calls too."""
    for _ in range(5):
        assert pair.call("PUT", "/refuse", iter([BIG, BIG])) == (413, b"too long")
    assert pair.call("GET", "/echo") == (200, b"")
    assert not pair.worn.is_set()


def test_a_body_that_somebody_reads_still_costs_its_wire(pair: Pair) -> None:
    """What comes next cannot be told from the rest; when half of the wires are gone the agent begins anew."""
    held = threading.Event()

    def body() -> Iterator[bytes]:
        yield from (b"a", b"b")
        held.wait(1.0)
        yield b"c"

    with pytest.raises(ServiceUnreachable):
        pair.call("PUT", "/stuck", body())
    assert pair.worn.is_set()
    assert pair.call("GET", "/echo") == (200, b"")


def test_an_answer_that_breaks_off_is_no_whole_one(pair: Pair) -> None:
    """And the wire goes on."""
    with pytest.raises(Problem, match="中断"):
        pair.call("GET", "/break")
    assert pair.call("GET", "/echo") == (200, b"")


def test_an_answer_that_is_given_up_leaves_nothing_for_the_next(pair: Pair) -> None:
    """As when a file is already there."""
    for _ in range(4):
        pair.wires.open(Call("PUT", "/echo", {}, BIG, 7.0)).close()
    assert pair.call("PUT", "/echo", b"next") == (200, b"next")


def test_when_the_platform_is_gone_calls_say_so(pair: Pair) -> None:
    """Those under way and those that follow."""
    for end in pair.ends:
        end.close()
    for _ in range(2):
        with pytest.raises(ServiceUnreachable):
            pair.wires.ask("pull", {})
    assert pair.worn.is_set()
