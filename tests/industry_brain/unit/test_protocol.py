"""The door's HTTP: when an idle connection ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from industry_brain.protocol import GuardedProtocol
from starlette.responses import PlainTextResponse

IDLE_S = 1


@pytest.fixture
def port() -> Iterator[int]:
    """A server that ends connections idle for a second."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        PlainTextResponse("here"), loop="uvloop", http=GuardedProtocol, ws="none", log_config=None, lifespan="off",
        timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()


def test_a_connection_ends_when_it_was_idle_so_long_and_no_sooner(port: int) -> None:
    """The time counts from the last answer, not from the first, for which the timer was set."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            began = time.monotonic()
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(0.6 * IDLE_S)
        while connection.recv(1000):
            continue
        assert time.monotonic() - began > 0.9 * IDLE_S
