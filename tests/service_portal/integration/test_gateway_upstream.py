"""Services behind the gateway that are away, slow, broken or rude."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from tests.identity.brain import Holder
from tests.service_portal.front import Front
from tests.service_portal.toy import BLOCK


@pytest.fixture
def cluster(tmp_path: Path, limits: None) -> Iterator[Front]:
    """A gateway of this test alone whose service runs in a server of its own."""
    made = Front(tmp_path, remote=True)
    yield made
    made.close()


@contextmanager
def rude_service(front: Front, answer: bytes, *, close: bool = True) -> Iterator[list[bytes]]:
    """Puts a server in place of the service that answers every request with the same bytes."""
    assert front.remote is not None
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    stop = threading.Event()

    def serve() -> None:
        listener.settimeout(0.1)
        kept = []
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            heard.append(connection.recv(65536))
            connection.sendall(answer)
            if close:
                connection.close()
            else:
                kept.append(connection)
        for connection in kept:
            connection.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    services = front.platform.settings.services
    before = services["data-hub"]
    services["data-hub"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield heard
    finally:
        services["data-hub"] = before
        stop.set()
        thread.join()


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 400, 404, 409, 418, 500, 503])
def test_status_and_headers_of_a_service_come_back_as_they_are(front: Front, holder: Holder, status: int) -> None:
    """Redirects are not followed, errors not rewritten; each header once, connection headers never."""
    reply = front.call("GET", f"/api/data-hub/v1/status/{status}", holder.key)

    assert reply.status == status
    assert reply.headers["x-own"] == "1"
    for name in ("date", "x-request-id", "ratelimit-limit"):
        assert len(reply.headers.getlist(name)) == 1, name
    if front.remote:
        assert "keep-alive" not in reply.headers


def test_hop_by_hop_headers_stay_on_their_hop(cluster: Front) -> None:
    """What concerns the caller's connection is not told to the service."""
    holder = cluster.brain.holder()
    sent = {"Proxy-Authorization": "Basic x", "TE": "trailers", "Keep-Alive": "timeout=5", "X-Mine": "1"}
    seen = dict(cluster.call("GET", "/api/data-hub/v1/echo/x", holder.key, headers=sent).json()["headers"])

    assert seen["x-mine"] == "1"
    assert not {"proxy-authorization", "te", "keep-alive"} & set(seen)
    assert cluster.remote is not None
    assert seen["host"] == f"127.0.0.1:{cluster.remote.port}"


def test_a_service_that_crashes_answers_500_without_telling_why(front: Front, holder: Holder) -> None:
    """The text of the error, which may hold secrets, stays inside."""
    reply = front.call("GET", "/api/data-hub/v1/crash", holder.key)

    assert (reply.status, reply.json()["code"]) == (500, "internal")
    assert b"hunter2" not in reply.data


@pytest.mark.parametrize("path", ["/api/data-hub/v1/source?blocks=20&die=true", "/api/data-hub/v1/short"])
def test_an_answer_that_stops_in_its_middle_is_cut_off(front: Front, holder: Holder, path: str) -> None:
    """The caller must see that the rest is missing: the connection breaks, no clean end is made up."""
    with pytest.raises(urllib3.exceptions.HTTPError):
        front.call("GET", path, holder.key)


def test_a_service_that_is_down_is_503_and_comes_back(cluster: Front) -> None:
    """With Retry-After; once it is there again the next request reaches it."""
    holder = cluster.brain.holder()
    assert cluster.remote is not None
    assert cluster.call("GET", "/api/data-hub/v1/echo/x", holder.key).status == 200
    cluster.remote.stop()
    for method in ("GET", "POST"):
        reply = cluster.call(method, "/api/data-hub/v1/echo/x", holder.key)
        assert (reply.status, reply.json()["code"]) == (503, "upstream_unavailable")
        assert int(reply.headers["retry-after"]) >= 1

    cluster.remote.listener = socket.create_server(("127.0.0.1", cluster.remote.port))
    cluster.remote.start(cluster.toy.app)
    assert cluster.call("GET", "/api/data-hub/v1/echo/x", holder.key).status == 200


def test_an_unknown_service_is_not_found(front: Front, holder: Holder) -> None:
    """404 names it; nothing is tried."""
    assert front.code("GET", "/api/nobody/v1/x", holder.key) == (404, "service_unknown")


def test_a_service_that_stays_silent_is_504(cluster: Front) -> None:
    """After the time-out of two seconds that this test sets, once, not twice."""
    holder = cluster.brain.holder()
    began = time.monotonic()
    assert cluster.code("GET", "/api/data-hub/v1/slow?seconds=30", holder.key) == (504, "upstream_timed_out")

    assert 1.5 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_a_problem_of_the_service(cluster: Front, answer: bytes) -> None:
    """502 or 503 with a problem; never a guess at what was meant."""
    holder = cluster.brain.holder()
    with rude_service(cluster, answer):
        reply = cluster.call("POST", "/api/data-hub/v1/echo/x", holder.key)

    assert reply.status in (502, 503)
    assert reply.json()["code"] in ("upstream_broken", "upstream_unavailable")


def test_a_write_is_never_sent_twice(cluster: Front) -> None:
    """A service that hangs up on a write may have done it; a read is tried once more."""
    holder = cluster.brain.holder()
    with rude_service(cluster, b"") as heard:
        assert cluster.call("POST", "/api/data-hub/v1/sink", holder.key, body=b"x").status == 503
        assert len(heard) == 1
        assert cluster.call("GET", "/api/data-hub/v1/echo/x", holder.key).status == 503
        assert len(heard) == 3


def test_an_answer_cut_off_over_http_is_cut_off_for_the_caller(cluster: Front) -> None:
    """Whether it promised a length or came in chunks."""
    holder = cluster.brain.holder()
    for answer in (
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ):
        with rude_service(cluster, answer), pytest.raises(urllib3.exceptions.HTTPError):
            cluster.call("GET", "/api/data-hub/v1/echo/x", holder.key)


def test_many_streams_at_once_do_not_disturb_each_other(front: Front, holder: Holder) -> None:
    """Twenty downloads of 2 MB at the same time each arrive whole."""
    sizes: list[int] = []

    def download() -> None:
        sizes.append(len(front.call("GET", "/api/data-hub/v1/source?blocks=32", holder.key).data))

    threads = [threading.Thread(target=download) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sizes == [32 * len(BLOCK)] * 20
