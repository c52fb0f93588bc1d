"""Bodies: limits by declaration and by count, streams both ways in bounded memory, callers that go away."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.identity.brain import Holder
from tests.service_portal.front import Front
from tests.service_portal.integration.conftest import BODY_LIMIT, PUSH_LIMIT
from tests.service_portal.toy import BLOCK

PUSHES = "/api/data-hub/v1/datasets/public.enterprise/pushes"
SINK = "/api/data-hub/v1/sink"
STREAMED_BYTES = 200 << 20


def chunks(total: int) -> Iterator[bytes]:
    """A body of blocks, as long as asked for, sent with chunked coding."""
    for _ in range(total // len(BLOCK)):
        yield BLOCK
    if total % len(BLOCK):
        yield BLOCK[: total % len(BLOCK)]


@contextmanager
def memory_growth() -> Iterator[list[int]]:
    """Bytes by which the process grew at most inside the block; everything under test runs in it."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, growth, stop = resident(), [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            growth[0] = max(growth[0], resident() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield growth
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("path", "limit"), [(SINK, BODY_LIMIT), (PUSHES, PUSH_LIMIT)])
def test_a_declared_length_over_the_limit_is_refused_before_the_body(
    front: Front, holder: Holder, path: str, limit: int
) -> None:
    """413 with the limit, while not a byte of the body was sent; pushes have a limit of their own."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\ncontent-length: {limit + 1}\r\n\r\n"
    answer = front.raw(head.encode(), timeout_s=0.5)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer
    assert f'"limit_bytes":{limit}'.encode() in answer


@pytest.mark.parametrize("path", [SINK, "/api/data-hub/v1/notes"])
def test_a_body_over_the_limit_is_refused_by_counting(front: Front, holder: Holder, path: str) -> None:
    """Without a declared length too, whether the service streams the body or parses it; it never sees it whole."""
    before = len(front.toy.seen)
    headers = {"content-type": "application/json"}
    reply = front.call("POST", path, holder.key, body=chunks(BODY_LIMIT + 1), headers=headers)

    assert (reply.status, reply.json()["code"]) == (413, "body_too_large")
    assert front.toy.seen[before:] == []


def test_a_body_of_exactly_the_limit_passes(front: Front, holder: Holder) -> None:
    """By declaration and by count."""
    expected = hashlib.sha256(b"".join(chunks(BODY_LIMIT))).hexdigest()
    declared = front.call("POST", SINK, holder.key, body=b"".join(chunks(BODY_LIMIT)))
    counted = front.call("POST", SINK, holder.key, body=chunks(BODY_LIMIT))

    assert declared.json() == counted.json() == {"size": BODY_LIMIT, "sha256": expected}


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "１２", "", "1,1"])
def test_a_length_that_is_no_number_is_refused(front: Front, holder: Holder, length: str) -> None:
    """400, whoever finds it first."""
    head = f"POST {SINK} HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\ncontent-length: {length}\r\n\r\n"

    assert front.raw(head.encode(), timeout_s=0.5).startswith(b"HTTP/1.1 400 ")


def test_an_upload_streams_in_bounded_memory(front: Front, holder: Holder) -> None:
    """200 MB go through whole, with less than a quarter of that in memory at any time."""
    expected = hashlib.sha256()
    for block in chunks(STREAMED_BYTES):
        expected.update(block)
    with memory_growth() as growth:
        reply = front.call("POST", PUSHES, holder.key, body=chunks(STREAMED_BYTES))

    assert reply.json() == {"size": STREAMED_BYTES, "sha256": expected.hexdigest()}
    assert growth[0] < STREAMED_BYTES // 4


def test_a_download_streams_in_bounded_memory(front: Front, holder: Holder) -> None:
    """200 MB come back whole, with less than a quarter of that in memory at any time, also for a slow reader."""
    blocks = STREAMED_BYTES // len(BLOCK)
    size = 0
    with memory_growth() as growth:
        reply = front.call("GET", f"/api/data-hub/v1/source?blocks={blocks}", holder.key, preload_content=False)
        time.sleep(0.3)  # a reader that lets the sender wait
        for chunk in reply.stream(1 << 18):
            size += len(chunk)
    reply.release_conn()

    assert size == STREAMED_BYTES
    assert growth[0] < STREAMED_BYTES // 4


def test_the_first_bytes_come_before_the_last_are_made(front: Front, holder: Holder) -> None:
    """The gateway hands on what is there instead of waiting for the end."""
    path = "/api/data-hub/v1/source?blocks=100000"
    reply = front.call("GET", path, holder.key, preload_content=False)
    first = reply.read(1024)
    reply.close()

    assert first == BLOCK[:1024]


def test_a_service_sees_that_the_caller_left_while_reading(front: Front, holder: Holder) -> None:
    """An answer without end is given up once nobody reads it."""
    front.toy.left.clear()
    reply = front.call("GET", "/api/data-hub/v1/source?blocks=100000000", holder.key, preload_content=False)
    reply.read(1024)
    reply.close()

    assert front.toy.left.wait(10)


def test_a_service_sees_that_the_caller_left_while_sending(front: Front, holder: Holder) -> None:
    """A body shorter than promised is never taken for a whole one, neither by length nor in chunks."""
    for coding in (b"content-length: 1000000", b"transfer-encoding: chunked"):
        front.toy.left.clear()
        front.toy.began.clear()
        before = len(front.toy.seen)
        with front.socket() as connection:
            head = f"POST {PUSHES} HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\n".encode()
            connection.sendall(head + coding + b"\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n")
            assert front.toy.began.wait(5)

        assert front.toy.left.wait(10), coding
        assert front.toy.seen[before:] == []


def test_an_aborted_write_is_not_recorded_as_done(front: Front, holder: Holder) -> None:
    """Usage and audit show a caller that went away, not a success."""
    front.toy.began.clear()
    with front.socket() as connection:
        head = f"POST {PUSHES} HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\ncontent-length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 10)
        assert front.toy.began.wait(5)
    deadline = time.monotonic() + 10
    while not (rows := front.usage(holder.uscc)):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert [row["status_class"] for row in rows] == ["4xx"]
    found = front.brain.audit_of(holder.key_id, at_least=2)
    records = [item for item in found if item["action"] == "gateway.request"]
    assert [(item["outcome"], item["detail"]["status"]) for item in records] == [("refused", 499)]


def test_a_caller_that_waits_for_continue_gets_it(front: Front, holder: Holder) -> None:
    """curl sends large bodies only after `100 Continue`."""
    with front.socket() as connection:
        head = (
            f"POST {SINK} HTTP/1.1\r\nhost: x\r\nx-api-key: {holder.key}\r\n"
            "content-length: 5\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    assert b"200 OK" in answer
    assert b'"size":5' in answer


def test_an_empty_body_and_a_head_request_pass(front: Front, holder: Holder) -> None:
    """Neither hangs nor gains a body."""
    assert front.call("POST", SINK, holder.key, body=b"").json()["size"] == 0
    assert front.call("GET", "/api/data-hub/v1/status/204", holder.key).data == b""
    reply = front.call("HEAD", "/api/data-hub/v1/echo/x", holder.key)
    assert (reply.status, reply.data) == (405, b"")
