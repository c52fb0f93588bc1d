"""The agent's line to its supervisor, which is started when nobody answers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from compute_scheduler.engine.contract import Json
from compute_scheduler.engine.supervisor import SECRET, SOCKET

CONNECT_S = 10.0
_DETACH = (
    "import os, sys\n"
    "if not os.fork():\n"
    "    os.execv(sys.argv[1], [sys.argv[1], '-m', 'compute_scheduler.engine.supervisor', sys.argv[2]])\n"
)


class SupervisorLine:
    """Safe among threads. root: folder of the agent. walls: what `configure` tells each supervisor.

    hear: gets what it says, what comes together at once, and `gone` when it is there no more.
    """

    def __init__(self, root: Path, walls: Json, hear: Callable[[list[Json]], None]) -> None:
        self._root = root
        self._walls = walls
        self._hear = hear
        self._connection: socket.socket | None = None
        self._guard = threading.Lock()

    def send(self, message: Json) -> None:
        """Tells it something. Raises OSError when there is none and none can be started."""
        was_lost = False
        text = orjson.dumps(message) + b"\n"
        with self._guard:
            for attempt in (1, 2):
                if self._connection is None:
                    self._connection = self._connect()
                try:
                    self._connection.sendall(text)
                    break
                except OSError:
                    self._connection, was_lost = None, True
                    if attempt == 2:
                        raise
        if was_lost:
            self._hear([{"event": "gone"}])

    def close(self) -> None:
        """Hangs up; what runs goes on."""
        with self._guard:
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)
                self._connection.close()
                self._connection = None

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + CONNECT_S
        pause, launched = 0.005, False
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                _connect_in(self._root, connection)
                break
            except OSError:
                connection.close()
                if time.monotonic() > deadline:
                    raise
                if not launched:
                    launched = True
                    self._launch()
                time.sleep(pause)
                pause = min(pause * 2, 0.1)
        hello = {"secret": (self._root / SECRET).read_text(encoding="ascii")}
        connection.sendall(b"%b\n%b\n" % (orjson.dumps(hello), orjson.dumps({"do": "configure", **self._walls})))
        threading.Thread(target=self._listen, args=(connection,), name="supervisor-news", daemon=True).start()
        return connection

    def _launch(self) -> None:
        # Two forks: the supervisor is nobody's child, so no one's end takes it along.
        with open(self._root / "supervisor.log", "ab") as log:
            subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-c", _DETACH, sys.executable, str(self._root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"},
                check=False,
            )

    def _listen(self, connection: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while data := connection.recv(1 << 18):
                *lines, rest = (rest + data).split(b"\n")
                self._hear([orjson.loads(line) for line in lines])
        with self._guard:
            if self._connection is not connection:
                return
            self._connection = None
        self._hear([{"event": "gone"}])


def _connect_in(folder: Path, connection: socket.socket) -> None:
    """Connects to the supervisor's socket; a path too long for a socket address is named by its opened folder."""
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{opened}/{SOCKET}")
    finally:
        os.close(opened)
