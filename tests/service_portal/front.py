"""The gateway on a real port: identity, the control plane and a toy service behind it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
import uvicorn
from brain_kit.service import Platform, ServiceRuntime
from industry_brain.protocol import GuardedProtocol
from industry_brain.wiring import ROLES, build_service, start_workers
from service_portal.api import operation_app
from service_portal.gateway.app import Gateway
from service_portal.gateway.upstream import Upstreams
from starlette.responses import PlainTextResponse

from tests.identity.brain import Brain
from tests.service_portal.toy import Toy


class Served:
    """An ASGI application on a loopback port, in a thread."""

    def __init__(self, app: Any = None, listener: socket.socket | None = None) -> None:
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if app is not None:
            self.start(app)

    def start(self, app: Any) -> None:
        """Serves until `stop`."""
        config = uvicorn.Config(
            app, loop="uvloop", http=GuardedProtocol, ws="none", log_config=None, access_log=False,
            lifespan="on", server_header=False, timeout_graceful_shutdown=1,
            proxy_headers=False,  # uvicorn trusts a proxy on the loopback address, which is where these tests call from
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends serving and gives the port back."""
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


def build_gateway(platform: Platform, runtime: ServiceRuntime) -> Gateway:
    """The gateway as it is run, with a page of plain text for the portal."""
    parts = runtime.extras["gateway"]
    return Gateway(
        parts.settings,
        credentials=parts.credentials,
        limits=parts.limits,
        meter=parts.meter,
        trail=parts.trail,
        upstreams=Upstreams(platform, parts.settings.service_portal_upstream_timeout_s),
        portal=PlainTextResponse("portal"),
        operation=operation_app(platform, parts.credentials, parts.document),
    )


class Front:
    """Everything of one platform behind one port; `remote` puts the toy into a server of its own."""

    def __init__(self, home: Path, *, remote: bool = False, **settings: Any) -> None:
        self.remote = Served() if remote else None
        services = {"data-hub": self.remote.url} if self.remote else {}
        self.brain = Brain(home, services=services, **settings)
        self.platform = self.brain.platform
        self.portal = build_service(self.platform, "service-portal")
        self.parts = self.portal.extras["gateway"]
        self.toy = Toy(self.platform)
        if self.remote:
            self.remote.start(self.toy.app)
        else:
            self.platform.register(ServiceRuntime("data-hub", self.toy.app))
        self.workers = start_workers([self.portal], ROLES)
        self.served = Served(build_gateway(self.platform, self.portal))
        self.url = self.served.url
        self.http = urllib3.PoolManager(maxsize=32, retries=False)

    def close(self) -> None:
        """Ends everything."""
        self.http.clear()
        self.served.stop()
        if self.remote and self.remote.thread.is_alive():
            self.remote.stop()
        assert self.workers.stop(10) == []
        self.brain.close()

    def call(
        self, method: str, path: str, credential: str = "", *, headers: dict[str, str] | None = None, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request through the port; `credential` goes into Authorization."""
        sent = dict(headers or {})
        if credential:
            sent["Authorization"] = f"Bearer {credential}"
        return self.http.request(method, self.url + path, headers=sent, redirect=False, timeout=30, **options)

    def code(self, method: str, path: str, credential: str = "", **options: Any) -> tuple[int, str]:
        """(status, code) of a request that must be refused with a problem."""
        reply = self.call(method, path, credential, **options)
        assert reply.headers["content-type"] == "application/problem+json", (reply.status, reply.data[:300])
        body = reply.json()
        assert body["status"] == reply.status
        return reply.status, body["code"]

    def raw(self, *parts: bytes, timeout_s: float = 5.0, pause_s: float = 0.0) -> bytes:
        """Everything that comes back for bytes on a socket, until the other side closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.served.port), timeout=timeout_s) as connection:
            received = b""
            try:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause_s)
                while chunk := connection.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionError):
                pass
            return received

    @contextmanager
    def socket(self) -> Iterator[socket.socket]:
        """A connection to the port."""
        with socket.create_connection(("127.0.0.1", self.served.port), timeout=10) as connection:
            yield connection

    def settle(self) -> None:
        """Writes what was counted, now."""
        self.parts.settlement.settle()

    def usage(self, org: str, *, at_least: int = 0) -> list[dict[str, Any]]:
        """The settled usage of an organisation; a request is counted a moment after its answer has gone out."""
        deadline = time.monotonic() + 5
        while True:
            self.settle()
            reply = self.call("GET", f"/api/service-portal/v1/usage?org={org}", self.brain.first.api_key)
            assert reply.status == 200, reply.data
            items: list[dict[str, Any]] = reply.json()["items"]
            if sum(row["requests"] for row in items) >= at_least:
                return items
            assert time.monotonic() < deadline, items
            time.sleep(0.02)
