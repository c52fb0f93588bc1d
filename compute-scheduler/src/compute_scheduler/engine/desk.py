"""Where copies of attempts ask whether they may begin: a small HTTP server of the agent that every node reaches.

    POST /v1/claims/{attempt}   204 begin, 200 begin with these variables, 409 or 403 never begin, 503 ask again
    POST /v1/ended/{attempt}    204: a hint that the copy's marker lies in its folder

`Authorization: Bearer` carries the attempt's own token, which is good for nothing else and for no longer than the
agent holds the attempt; `X-Nonce` names the copy, `X-Remote` the cluster's id of it, `X-Address` where other members of
its gang reach it (without it: where the request came from). HTTP without TLS: it belongs into the network between agent
and nodes.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from compute_scheduler.engine.folder import write_text

_PATH = re.compile(r"/v1/(claims|ended)/(job_[0-9A-Z]{26}\.[0-9]{1,6}(?:\.[0-9]{1,4})?)")
_NONCE = re.compile(r"[0-9a-f]{32}")
_REMOTE = re.compile(r"[A-Za-z0-9_.-]{0,80}")
_ADDRESS = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
READ_S = 10.0


class Question(NamedTuple):
    """What a copy asks. kind: `claims` or `ended`; token: of its attempt; remote: the cluster's id of the copy."""

    kind: str
    attempt: str
    token: str
    nonce: str
    remote: str
    address: str


# The HTTP status, and with a grant variables that the copy adds to its command's environment.
Answer = Callable[[Question], tuple[int, Mapping[str, str]]]


class Desk:
    """Serves until closed. address: host and port to listen on (port 0: a free one, kept over restarts in `root`).

    reach: the host as nodes name it; the file `place` tells them where to ask and is rewritten at each start.
    """

    def __init__(self, root: Path, place: Path, address: tuple[str, int], reach: str, answer: Answer) -> None:
        self._answer = answer
        self._server = _listen(root / "desk.port", address, self._handler())
        self.port = int(self._server.server_address[1])
        write_text(root / "desk.port", str(self.port))
        write_text(place, f"{reach or address[0]} {self.port}\n")
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="desk", daemon=True).start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = READ_S

            def do_POST(self) -> None:
                found = _PATH.fullmatch(self.path)
                nonce, remote = self.headers.get("X-Nonce", ""), self.headers.get("X-Remote", "")
                address = self.headers.get("X-Address", "")
                status, told = 403, b""
                if found and _NONCE.fullmatch(nonce) and _REMOTE.fullmatch(remote):
                    token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                    where = address if _ADDRESS.fullmatch(address) else str(self.client_address[0])
                    status, variables = answer(Question(found[1], found[2], token, nonce, remote, where))
                    if variables and status == 204:
                        status, told = 200, _written(variables)
                with contextlib.suppress(OSError):
                    self.send_response_only(status)
                    self.send_header("Content-Length", str(len(told)))
                    self.end_headers()
                    self.wfile.write(told)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing: a copy says what matters when it claims."""

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A copy that went away in the middle asks again."""


def _written(variables: Mapping[str, str]) -> bytes:
    """One `NAME=value` a line, and a line with a point, by which the copy knows that it has them all."""
    return "".join(f"{name}={value}\n" for name, value in variables.items()).encode() + b".\n"


def _listen(remembered: Path, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> _Server:
    host, port = address
    if not port and remembered.exists():
        with contextlib.suppress(OSError, ValueError):
            return _Server((host, int(remembered.read_text(encoding="ascii"))), handler)
    return _Server((host, port), handler)
