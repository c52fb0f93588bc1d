"""A service for tests of calls: it echoes, streams, stalls, fails and calls itself; and the ways to reach it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
import uvicorn
from brain_kit.auth import Caller, Principal, public, require
from brain_kit.problems import Conflict
from brain_kit.service import Platform, ServiceRuntime, create_app
from brain_kit.settings import PlatformSettings
from brain_kit.streaming import ClosingStream
from fastapi import Body, Depends, FastAPI, Query, Request
from pydantic import BaseModel, Field

from tests.brain_kit.signing import Signer

SECRET = "the-service-secret"


class RowsBroken(Conflict):
    """Something of the service's own that its callers act on."""

    code = "rows_broken"


class Thing(BaseModel):
    """A body with rules."""

    name: str = Field(min_length=2)
    count: int = Field(ge=1)
    password: str = Field("", max_length=8)


class Witness:
    """What the service saw."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.received: list[bytes] = []
        self.sent = 0
        self.closed = threading.Event()
        self.calls = 0
        self.tokens_given = 0


def identity_app(platform: Platform, signer: Signer, witness: Witness, lifetime_s: float = 300) -> FastAPI:
    """As much of identity as the kit needs: keys, and tokens for services."""
    app = create_app("identity", platform, title="identity")

    @app.get("/.well-known/jwks.json")
    @public("public keys")
    def jwks() -> dict[str, Any]:
        return {"keys": [signer.jwk]}

    @app.post("/internal/service-tokens")
    @public("the service secret is the credential")
    def tokens(request: Request, body: Annotated[dict[str, str], Body()]) -> dict[str, Any]:
        assert request.headers["x-service-secret"] == SECRET
        witness.tokens_given += 1
        roles = {"roles": ["service"], "kind": "service", "sub": f"service:{body['name']}"}
        return {"token": signer.token(**roles), "expires_in": lifetime_s}

    return app


def echo_app(platform: Platform, witness: Witness) -> FastAPI:
    """The service under call."""
    app = create_app("echo", platform, title="Echo", checks={}, max_body_bytes=1_000_000)
    answer_routes(app, witness)
    stream_routes(app, witness)
    patience_routes(app, platform, witness)
    return app


def answer_routes(app: FastAPI, witness: Witness) -> None:
    """What a service answers: echoes, names, refusals, crashes."""

    @app.api_route("/v1/echo", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
    @public("test")
    async def echo(request: Request) -> dict[str, Any]:
        witness.headers.append(dict(request.headers))
        body = await request.body()
        return {"method": request.method, "query": list(request.query_params.multi_items()), "size": len(body)}

    @app.get("/v1/who")
    def who(caller: Caller) -> dict[str, Any]:
        return {"subject": caller.subject, "roles": sorted(caller.roles)}

    @app.get("/v1/operators")
    def operators(caller: Annotated[Principal, Depends(require("operator"))]) -> str:
        return caller.subject

    @app.post("/v1/things")
    @public("test")
    def things(body: Thing, limit: Annotated[int, Query(le=10)] = 1) -> Thing:
        return body

    @app.get("/v1/conflict")
    @public("test")
    def conflict() -> None:
        raise RowsBroken("第 3 行不合要求", errors=[{"row": 3, "field": "month"}], dataset="public.enterprise")

    @app.get("/v1/doubled/{column}")
    @public("test")
    def doubled(column: Literal["name", "kept"]) -> None:
        """Writes what the database refuses: the same name twice, or nothing where something must be."""
        engine = sa.create_engine("sqlite://")
        columns = (sa.Column("name", sa.String, unique=True), sa.Column("kept", sa.String, nullable=False))
        table = sa.Table("things", sa.MetaData(), *columns)
        with engine.begin() as connection:
            table.create(connection)
            rows = [{"name": "a", "kept": "hunter2"}, {"name": "a", "kept": "hunter2"}]
            connection.execute(sa.insert(table), rows if column == "name" else [{"name": "a", "kept": None}])

    @app.get("/v1/crash")
    @public("test")
    def crash() -> None:
        password = "hunter2-in-a-local"  # noqa: F841 - must not reach the log
        raise RuntimeError("cannot open postgresql://brain:hunter2@db/brain")


def stream_routes(app: FastAPI, witness: Witness) -> None:
    """Bodies that stream, either way."""

    @app.get("/v1/stream")
    @public("test")
    def stream(chunks: int = 3, size: int = 1000, stall_after: int = -1, crash_after: int = -1) -> ClosingStream:
        def body() -> Generator[bytes, None, None]:
            try:
                for number in range(chunks):
                    if number == stall_after:
                        time.sleep(3)
                    if number == crash_after:
                        raise RuntimeError("broken half-way")
                    witness.sent += 1
                    yield bytes([number % 256]) * size
            finally:
                witness.closed.set()

        return ClosingStream(body(), media_type="application/octet-stream")

    @app.post("/v1/upload")
    @public("test")
    async def upload(request: Request) -> dict[str, Any]:
        async for chunk in request.stream():
            if chunk:
                witness.received.append(chunk)
        return {"size": sum(map(len, witness.received))}


def patience_routes(app: FastAPI, platform: Platform, witness: Witness) -> None:
    """Answers that take their time or need other calls."""

    @app.get("/v1/slow")
    @public("test")
    def slow(seconds: float = 3) -> str:
        witness.calls += 1
        time.sleep(seconds)
        return "done"

    @app.get("/v1/nested")
    @public("test")
    def nested(depth: int) -> int:
        if depth == 0:
            return 0
        reply = platform.client("echo").request("GET", "/v1/nested", params={"depth": depth - 1}, token="")
        return int(reply.json()) + 1


@contextmanager
def in_process(home: Path, **options: Any) -> Iterator[tuple[Platform, Witness]]:
    """The echo service and identity in one process with the caller."""
    platform = Platform(PlatformSettings(home=home, service_secret=SECRET), name="caller")
    witness = register(platform, **options)
    try:
        yield platform, witness
    finally:
        platform.close()


def register(platform: Platform, **options: Any) -> Witness:
    """Puts the echo service and identity into a platform."""
    witness = Witness()
    platform.register(ServiceRuntime("echo", echo_app(platform, witness)))
    platform.register(ServiceRuntime("identity", identity_app(platform, Signer(), witness, **options)))
    return witness


@contextmanager
def over_http(home: Path, **options: Any) -> Iterator[tuple[Platform, Witness]]:
    """The same services behind real HTTP servers."""
    with in_process(home, **options) as (remote, witness):
        apps = {name: remote.dispatch(name) for name in ("echo", "identity")}
        with served(apps["echo"]) as echo_url, served(apps["identity"]) as identity_url:
            urls = {"echo": echo_url, "identity": identity_url}
            platform = Platform(PlatformSettings(home=home, service_secret=SECRET, services=urls), name="caller")
            try:
                yield platform, witness
            finally:
                platform.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The URL of an application while it is served."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
