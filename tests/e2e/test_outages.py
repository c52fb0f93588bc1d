"""Servers go away and come back, a disk is full: pushes are refused or wait, nothing half-written is seen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brain_testing.process import PlatformProcess, free_port
from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable

from tests.e2e.conftest import Cluster
from tests.e2e.journey import Journey
from tests.e2e.test_faults import DATASET, prepare, stored

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.servers]


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> dict[str, Any]:
    """The cluster with the servers that may be taken away."""
    servers = {"data-hub/database": cluster.postgres, "data-hub/objects": cluster.s3, "kafka": cluster.kafka}
    return {"journey": prepare(cluster.journey), "n": 0, **servers}


def push(world: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Pushes one new row; the row's id and the receipt or problem."""
    world["n"] += 1
    name = f"row-{world['n']}"
    api: ApiClient = world["journey"].as_("pusher")
    body = json.dumps({"id": name, "n": world["n"]}).encode()
    try:
        return name, api.push(DATASET, body, "application/x-ndjson", wait_s=2, idempotency_key=name)
    except ApiError as error:
        return name, error.problem
    except PlatformUnreachable as error:
        return name, {"status": 503, "detail": str(error)}


def eventually(claim: Callable[[], bool], seconds: float = 240) -> None:
    """Polls until a claim holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if claim():
                return
        except (ApiError, PlatformUnreachable):
            pass
        assert time.monotonic() < deadline, "did not hold in time"
        time.sleep(0.3)


def failing_parts(world: dict[str, Any]) -> set[str]:
    """Names of the parts that readiness calls failing."""
    try:
        world["journey"].operator.get("/readyz")
    except ApiError as error:
        return {part["name"] for part in error.problem["parts"] if not part["ok"]}
    return set()


@pytest.mark.parametrize("part", ["data-hub/objects", "data-hub/database"])
def test_a_push_is_refused_or_waits_and_readiness_names_the_part(world: dict[str, Any], part: str) -> None:
    """While the server is away no row is lost or half there; when it is back the same push succeeds."""
    server = world[part]
    server.kill()
    try:
        name, answer = push(world)
        eventually(lambda: part in failing_parts(world))
    finally:
        server.restart()
    refused = answer.get("status", 202) >= 500
    assert refused or answer["state"] in ("validated", "committed"), answer
    if refused:
        eventually(lambda: _again(world, name))
    eventually(lambda: name in stored(world["journey"].operator)[0])
    ids, total, counted = stored(world["journey"].operator)
    assert len(ids) == len(set(ids)) == total == counted
    eventually(lambda: failing_parts(world) == set())


def test_a_full_disk_refuses_the_push_and_leaves_nothing(tmp_path: Path) -> None:
    """Files may not grow beyond 12 MB: a large push is refused with 507, no row of it is seen, a small one lands."""
    home, port = tmp_path / "home", free_port()
    command = [sys.executable, "-m", "industry_brain", "up", "--home", str(home), "--port", str(port)]
    with PlatformProcess(home, port, line=["prlimit", "--fsize=12000000", *command]) as running:
        journey = prepare(Journey(running.url, running.home))
        api = journey.as_("pusher")
        filler = "x" * 200
        rows = "\n".join(json.dumps({"id": f"{filler}-{number}", "n": number}) for number in range(100_000))
        with pytest.raises(ApiError) as refused:
            api.push(DATASET, rows.encode(), "application/x-ndjson", wait_s=20)
        assert refused.value.status == 507, refused.value.problem
        assert stored(journey.operator) == ([], 0, 0)
        assert api.push(DATASET, b'{"id":"a","n":1}', "application/x-ndjson", wait_s=20)["state"] == "committed"


def _again(world: dict[str, Any], name: str) -> bool:
    api: ApiClient = world["journey"].as_("pusher")
    body = json.dumps({"id": name, "n": int(name.split("-")[1])}).encode()
    return bool(api.push(DATASET, body, "application/x-ndjson", wait_s=5, idempotency_key=name)["accepted"] == 1)


def test_pushes_go_on_while_kafka_is_away_and_events_arrive_later(world: dict[str, Any]) -> None:
    """The broker is no part of a push: rows are committed at once, the audit record comes when it is back."""
    operator: ApiClient = world["journey"].operator
    world["kafka"].kill()
    try:
        name, answer = push(world)
        assert answer["state"] == "committed", answer
    finally:
        world["kafka"].restart()
    assert name in stored(operator)[0]
    eventually(
        lambda: any(
            answer["id"] in json.dumps(item) for item in operator.get("/api/identity/v1/audit", limit=200)["items"]
        )
    )
