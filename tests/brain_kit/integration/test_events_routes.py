"""The internal routes about events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from brain_kit.database import Database
from brain_kit.events import LocalBus, event_routes
from brain_kit.problems import NotFound, NotPermitted
from fastapi import FastAPI, Header

from tests.brain_kit.eventing import World, opened, wait_for
from tests.brain_kit.sample_service import write_package
from tests.coroutines import run_async


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two services on SQLite and the local bus."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    write_package(tmp_path / "packages")
    databases = [Database(f"sqlite:///{tmp_path}/{name}.db") for name in ("producer", "consumer")]
    with opened(databases[0], databases[1], LocalBus(), prefix="", relays=False) as world:
        yield world


def only_operators(role: str = Header()) -> None:
    """The dependency that a service passes in."""
    if role != "operator":
        raise NotPermitted("只有运营方可以查看")


def call(app: FastAPI, method: str, url: str, role: str = "operator") -> tuple[int, Any]:
    """One request straight into the application: status and JSON body."""
    parts, sent = urlsplit(url), []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(b"role", role.encode())],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    run_async(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)


def application(world: World, database: Database) -> FastAPI:
    """The routes of the service with this database, which has the group `reader`."""
    app = FastAPI()
    app.include_router(event_routes(database, world.bus, {world.group: [world.topic]}, only_operators))
    return app


def test_the_status_tells_lag_waiting_rows_and_dead_letters(world: World) -> None:
    """One of three events is poison; then two more come while the consumer is away."""
    world.failing.add(2)
    end = world.threads.start(world.reader(attempts=1).run)
    world.emit(1, 2, 3)
    wait_for(lambda: world.effects() == [1, 3])
    end()
    world.emit(4, 5)
    status, body = call(application(world, world.consumer), "GET", "/internal/events")
    assert status == 200
    (reader,) = body["items"]
    assert (reader["service"], reader["group"]) == ("consumer", "reader")
    assert reader["lag"] == {world.topic: 2}
    assert reader["dead_letters"] == {"dead": 1, "queued": 0, "replayed": 0}
    producer = call(application(world, world.producer), "GET", "/internal/events")[1]["items"][0]
    assert producer["outbox"]["pending"] == 2
    assert 0 <= producer["outbox"]["oldest_pending_s"] < 60


def test_recent_events_come_newest_first_in_pages(world: World) -> None:
    """Pages meet without gap or overlap, also when new events come in between."""
    emitted = world.emit(*range(5))
    app = application(world, world.producer)
    first = call(app, "GET", "/internal/events/recent?limit=2")[1]
    world.emit(6)
    second = call(app, "GET", f"/internal/events/recent?limit=2&after={first['next']}")[1]
    third = call(app, "GET", f"/internal/events/recent?limit=2&after={second['next']}")[1]
    listed = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert listed == emitted[::-1]
    assert third["next"] is None
    assert set(first["items"][0]) == {"id", "topic", "key", "time", "published_at"}
    assert call(app, "GET", "/internal/events/recent?topic=other")[1] == {"items": [], "next": None}


def test_a_dead_letter_is_listed_and_replayed(world: World) -> None:
    """The route only queues: the consumer may live in another process."""
    world.failing.add(1)
    world.threads.start(world.reader(attempts=2).run)
    (event_id,) = world.emit(1)
    wait_for(lambda: bool(world.rows("dead_letter")))
    app = application(world, world.consumer)
    (letter,) = call(app, "GET", "/internal/events/dead?state=dead")[1]["items"]
    assert (letter["event"]["id"], letter["attempts"]) == (event_id, 2)
    world.failing.clear()
    status, body = call(app, "POST", f"/internal/events/dead/{letter['id']}/replay")
    assert (status, body) == (202, {"id": letter["id"], "state": "queued"})
    wait_for(lambda: world.effects() == [1])
    assert call(app, "GET", "/internal/events/dead?state=dead")[1]["items"] == []
    with pytest.raises(NotFound):
        call(app, "POST", "/internal/events/dead/99/replay")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/recent"), ("GET", "/dead"), ("POST", "/dead/1/replay")],
)
def test_every_route_asks_who_calls(world: World, method: str, path: str) -> None:
    """The dependency that was passed in guards each of them."""
    with pytest.raises(NotPermitted):
        call(application(world, world.consumer), method, f"/internal/events{path}", role="member")
