"""Bytes that no client library sends: one connection never carries a request that was not meant as one."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from industry_brain.protocol import HEAD_BYTES

from tests.identity.brain import Holder
from tests.service_portal.front import Front

# What two parsers in a row could read differently matters where there are two: gateway and service.
pytestmark = pytest.mark.parametrize("front", ["cluster"], indirect=True)

ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")
SMUGGLED = "GET /api/data-hub/v1/echo/smuggled HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    """Status codes of every answer on the connection."""
    return [int(status) for status in ANSWER.findall(answer)]


def refused(front: Front, *parts: str, timeout_s: float = 0.5) -> list[int]:
    """Sends bytes; the smuggled request must not have reached the service. Returns the answers' statuses."""
    before = len(front.toy.seen)
    answer = front.raw(*(part.encode("latin-1") for part in parts), timeout_s=timeout_s)
    assert not [path for path in front.toy.seen[before:] if "smuggled" in path]
    return statuses(answer)


@pytest.mark.parametrize(
    "coding",
    [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: 4\r\ntransfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding : chunked",
        "transfer-encoding:\x0bchunked",
        "x: y\r\n transfer-encoding: chunked\r\ncontent-length : 4",
        "x: y\ntransfer-encoding: chunked",
    ],
)
def test_two_ways_to_find_the_end_of_a_body_are_refused(front: Front, holder: Holder, coding: str) -> None:
    """Length and coding that contradict each other end the connection with an error; nothing after it is read."""
    request = f"POST /api/data-hub/v1/sink HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\n{coding}\r\n\r\n"
    found = refused(front, request + "0\r\n\r\n" + SMUGGLED.format(key=holder.key))

    assert found in ([400], [])


@pytest.mark.parametrize("body", ["zz\r\nx\r\n0\r\n\r\n", "-1\r\n", "5\r\nhelloworld\r\n0\r\n\r\n", "1" * 40 + "\r\n"])
def test_a_bad_chunk_ends_the_connection(front: Front, holder: Holder, body: str) -> None:
    """The service never sees such a body as whole."""
    before = len(front.toy.seen)
    head = f"POST /api/data-hub/v1/sink HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\n"
    found = refused(front, head + "transfer-encoding: chunked\r\n\r\n" + body + SMUGGLED.format(key=holder.key))

    assert found in ([400], [])
    assert front.toy.seen[before:] == []


@pytest.mark.parametrize(
    "head",
    [
        "GET /api/data-hub/v1/echo/x HTTP/1.1\r\nx: a\x00b",
        "GET /api/data-hub/v1/echo/x\x00 HTTP/1.1\r\nhost: x",
        "GET /api/data-hub/v1/echo/x HTTP/1.1\r\nx\x00: ab",
        "GET /api/data-hub/v1/echo/x HTTP/1.1\r\nx: a\rb: c",
        "GET /api/data-hub/v1/echo/x HTTP/9.9\r\nhost: x",
        "G\x01T /api/data-hub/v1/echo/x HTTP/1.1\r\nhost: x",
        "GET /api/data-hub/v1/echo/\u00e9 HTTP/1.1\r\nhost: x",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "CONNECT evil:443 HTTP/1.1\r\nhost: x",
        ": nothing HTTP/1.1",
    ],
)
def test_a_head_that_is_none_is_refused(front: Front, holder: Holder, head: str) -> None:
    """NUL, stray carriage returns, other protocols: 400 or a close, and nothing of it reaches a service."""
    before = len(front.toy.seen)
    found = refused(front, head + f"\r\nx-api-key: {holder.key}\r\n\r\n" + SMUGGLED.format(key=holder.key))

    assert found[:1] in ([400], [405], [])
    assert len(found) <= 1
    assert front.toy.seen[before:] == []


@pytest.mark.parametrize("count", [1, 2000])
def test_a_head_over_the_limit_is_refused(front: Front, holder: Holder, count: int) -> None:
    """One header too large or too many of them: 431, before the service is asked."""
    before = len(front.toy.seen)
    padding = "".join(f"x-{n}: {'a' * (HEAD_BYTES // count)}\r\n" for n in range(count))
    request = f"GET /api/data-hub/v1/echo/x HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\n{padding}\r\n"

    assert refused(front, request) == [431]
    assert refused(front, *[request[at : at + 16_000] for at in range(0, len(request), 16_000)]) == [431]
    assert front.toy.seen[before:] == []


def test_a_head_that_never_ends_is_not_collected(front: Front) -> None:
    """The gateway stops reading long before the sender stops sending."""
    sent = 0
    with front.socket() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                connection.sendall(b"a" * 65536)
                sent += 65536

    assert sent < 32 << 20


def test_a_head_that_comes_too_slowly_ends(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that say nothing, or one byte now and then, are closed."""
    monkeypatch.setattr("industry_brain.protocol.HEAD_S", 0.5)
    began = time.monotonic()
    assert front.raw(timeout_s=5) == b""
    assert front.raw(*[b"G", b"E", b"T", b" "], timeout_s=5, pause_s=0.1) == b""

    assert time.monotonic() - began < 4


def test_requests_in_a_row_are_answered_in_a_row(front: Front, holder: Holder) -> None:
    """Honest pipelining works: each request is answered once, each with its own credentials."""
    first = SMUGGLED.format(key=holder.key).replace("smuggled", "first")
    second = SMUGGLED.format(key="wrong").replace("smuggled", "second")
    before = len(front.toy.seen)
    found = statuses(front.raw((first + second).encode(), timeout_s=0.5))

    assert found == [200, 401]
    assert [path.rpartition("/")[2] for path in front.toy.seen[before:]] == ["first"]


def test_an_upgrade_is_not_followed(front: Front, holder: Holder) -> None:
    """Neither WebSocket nor HTTP/2 without TLS opens a way around the gateway."""
    for protocol in ("websocket", "h2c"):
        request = (
            f"GET /api/data-hub/v1/echo/x HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\nconnection: upgrade\r\n"
            f"upgrade: {protocol}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        answer = front.raw(request.encode(), timeout_s=0.5)
        assert b"101 Switching" not in answer
        assert len(statuses(answer)) <= 1
