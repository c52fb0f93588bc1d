"""What the gateway adds to a call: key, bucket, metering and in-process dispatch, against the service alone."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from industry_brain.embedded import build

CALLS, WARM_UP = 3000, 300
PATH = "/v1/me"
Headers = list[tuple[bytes, bytes]]


def run() -> dict[str, Any]:
    """Median microseconds of `GET /v1/me` called directly with a token, and through the gateway with an API key.

    The two take turns, so that a neighbour on the machine disturbs both alike.
    """
    with tempfile.TemporaryDirectory() as folder:
        built = build(PlatformSettings(home=Path(folder), log_level="ERROR"))
        try:
            direct, through = asyncio.run(_measure(built.platform, built.gateway, built.first_credentials))
        finally:
            built.platform.close()
    return {
        "service alone, p50": {"value": direct, "unit": "us"},
        "through the gateway, p50": {"value": through, "unit": "us"},
        "gateway added p50, in-process": {"value": through - direct, "unit": "us", "bound": 300, "better": "less"},
    }


async def _measure(platform: Platform, gateway: Any, credentials: dict[str, Any] | None) -> tuple[float, float]:
    assert credentials is not None
    key = credentials["operator"]["api_key"].encode()
    client = platform.client("identity")
    body = {"api_key": key.decode()}
    token = await asyncio.to_thread(
        lambda: client.request("POST", "/internal/credentials/verify", json=body).json()["token"]
    )
    service = platform.dispatch("identity")
    with_token: Headers = [(b"authorization", b"Bearer " + token.encode())]
    with_key: Headers = [(b"authorization", b"Bearer " + key)]
    direct, through = [], []
    for number in range(CALLS + WARM_UP):
        direct_us = await _call(service, PATH, with_token)
        through_us = await _call(gateway, f"/api/identity{PATH}", with_key)
        if number >= WARM_UP:
            direct.append(direct_us)
            through.append(through_us)
    return statistics.median(direct), statistics.median(through)


async def _call(app: Any, path: str, headers: Headers) -> float:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "state": {},
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    started = time.perf_counter()
    await app(scope, receive, send)
    elapsed = time.perf_counter() - started
    assert statuses == [200], (path, statuses)
    return elapsed * 1e6
