"""The portal on a fake of the platform, served on a real port for browsers or called in the process."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn
from brain_kit.database import Database
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from service_portal.portal import create_portal
from service_portal.portal.sessions import metadata
from service_portal.portal.trying import ApiDoor

from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.fake.document import FakeDocument
from tests.service_portal.portal.fake.services import register


async def echo_api(scope: Any, receive: Any, send: Any) -> None:
    """A gateway that tells what it was asked, for calls that are tried."""
    body = (await receive()).get("body", b"")
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    heard = {
        "method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode(),
        "headers": headers, "body": body.decode(),
    }  # fmt: skip
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    await send(start)
    await send({"type": "http.response.body", "body": json.dumps(heard).encode()})


class Browserless:
    """A client that keeps cookies and sends form tokens, as a browser does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}
        self._pool = urllib3.PoolManager()

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: object
    ) -> urllib3.BaseHTTPResponse:
        """One request without following redirects."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} | (headers or {})
        reply = self._pool.request(method, self.url + path, headers=sent, redirect=False, retries=False, **options)  # type: ignore[arg-type]
        for header in reply.headers.getlist("set-cookie"):
            name, _, rest = header.partition("=")
            value = rest.partition(";")[0].strip('"')
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return reply

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """A page view."""
        return self.request("GET", path)

    def text(self, path: str) -> str:
        """The text of a page that must be there."""
        reply = self.get(path)
        assert reply.status == 200, (path, reply.status, reply.data[:300])
        return reply.data.decode()

    def token(self, path: str = "/datasets") -> str:
        """The form token of a page."""
        found = re.search(r'name="form-token" content="([^"]+)"', self.text(path))
        assert found is not None
        return found[1]

    def post(
        self, path: str, fields: Mapping[str, object] | None = None, page: str = "/datasets"
    ) -> urllib3.BaseHTTPResponse:
        """Send a form with its token."""
        from urllib.parse import urlencode

        body = urlencode({**(fields or {}), "form_token": self.token(page)}, doseq=True)
        return self.request("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, body=body)

    def sign_in(self, user: str = "operator", password: str = "right-password") -> urllib3.BaseHTTPResponse:
        """Sign in through the form."""
        return self.post("/sign-in", {"user": user, "password": password, "next": "/"}, page="/sign-in")


@pytest.fixture(scope="package")
def brain() -> FakeBrain:
    """The data of the fake platform."""
    return FakeBrain()


@pytest.fixture(scope="package")
def portal_url(brain: FakeBrain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the portal, with the fake platform behind it."""
    home: Path = tmp_path_factory.mktemp("portal")
    settings = PlatformSettings(home=home, log_level="WARNING")
    platform = Platform(settings)
    register(platform, brain)
    database = Database(f"sqlite:///{home / 'service_portal.db'}", name="service-portal")
    metadata.create_all(database.engine)
    door = ApiDoor(echo_api)
    app = create_portal(platform, settings, database, FakeDocument(), door)  # type: ignore[arg-type]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    database.close()
    platform.close()


@pytest.fixture
def visitor(portal_url: str) -> Browserless:
    """Somebody who is not signed in."""
    return Browserless(portal_url)


@pytest.fixture
def operator(portal_url: str) -> Browserless:
    """A signed-in operator."""
    client = Browserless(portal_url)
    assert client.sign_in().status == 303
    return client


@pytest.fixture
def owner(portal_url: str) -> Browserless:
    """A signed-in manager of an enterprise."""
    client = Browserless(portal_url)
    assert client.sign_in("owner").status == 303
    return client
