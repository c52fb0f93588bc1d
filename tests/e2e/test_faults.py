"""Processes die at random moments while rows are pushed; afterwards every acknowledged row is there exactly once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable

from tests.e2e.conftest import Cluster
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "3"))
ROWS_A_PUSH = 20
# A stream, not a flood: what dies in it must come up again beside it, on two cores.
PAUSE_S = 0.05
DATASET, PUSHER = "industry.fault_row", "91370300MA3C000045"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: industry.fault_row
name: industry.fault_row
version: 1.0.0
status: active
customProperties:
  - {property: warehouse, value: industry}
  - {property: library, value: base}
  - {property: classification, value: 一般-1}
  - {property: access, value: open}
  - {property: titleZh, value: 故障测试行}
  - {property: titleEn, value: fault rows}
  - {property: example, value: {id: a-1, n: 1}}
schema:
  - name: fault_row
    logicalType: object
    properties:
      - {name: id, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: n, logicalType: integer, required: true}
"""


class Pusher(threading.Thread):
    """Pushes batches until stopped, repeating each with its Idempotency-Key until it is acknowledged."""

    def __init__(self, journey: Journey, name: str) -> None:
        super().__init__(daemon=True)
        self.api = journey.as_("pusher")
        self.prefix = name
        self.acknowledged: dict[str, int] = {}
        self.unexpected: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """One batch after the other."""
        batch = 0
        while not self.ended.is_set():
            rows = {f"{self.prefix}-{batch}-{number}": number for number in range(ROWS_A_PUSH)}
            if self._push(rows, f"{self.prefix}-{batch}"):
                self.acknowledged |= rows
            batch += 1
            self.ended.wait(PAUSE_S)

    def _push(self, rows: dict[str, int], key: str) -> bool:
        body = "\n".join(json.dumps({"id": name, "n": value}) for name, value in rows.items()).encode()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                receipt = self.api.push(DATASET, body, "application/x-ndjson", wait_s=2, idempotency_key=key)
            except PlatformUnreachable:
                time.sleep(0.2)
                continue
            except ApiError as error:
                if error.status in (409, 429, 500, 502, 503, 504):
                    time.sleep(0.2)
                    continue
                self.unexpected.append(f"{error.status} {error.code} {error}")
                return False
            if receipt["state"] == "refused":
                self.unexpected.append(json.dumps(receipt, ensure_ascii=False))
                return False
            return True
        self.unexpected.append(f"{key} was never acknowledged")
        return False


def prepare(journey: Journey) -> Journey:
    """A data set and an organisation that pushes to it, unless they are there."""
    journey.operator.put(f"/api/data-hub/v1/contracts/{DATASET}", CONTRACT.encode(), "application/yaml")
    if "pusher" not in journey.keys:
        journey.add_organisation("pusher", PUSHER, "provider", "370300")
    return journey


def stored(api: ApiClient) -> tuple[list[str], int, int]:
    """Ids of all rows by pages, their number by a query, and by the statistics."""
    ids: list[str] = []
    after: str | None = None
    while True:
        page = api.get(f"/api/data-hub/v1/datasets/{DATASET}/rows", columns="id", limit=10000, after=after)
        ids += [row["id"] for row in page["items"]]
        after = page["next"]
        if after is None:
            break
    total = api.post("/api/data-hub/v1/queries", {"sql": f"SELECT count(*) AS n FROM {DATASET}"})["items"][0]["n"]
    statistics: Any = api.get("/api/data-hub/v1/statistics")
    counted = next(item["rows"] for item in statistics["datasets"] if item["dataset"] == DATASET)
    return ids, total, counted


@contextlib.contextmanager
def stream_of_pushes(journey: Journey) -> Iterator[list[Pusher]]:
    """Three pushers at work; at the end each finishes the batch at hand."""
    pushers = [Pusher(journey, f"p{number}-{uuid.uuid4().hex[:6]}") for number in range(3)]
    for pusher in pushers:
        pusher.start()
    try:
        yield pushers
    finally:
        for pusher in pushers:
            pusher.ended.set()
        for pusher in pushers:
            pusher.join(180)


def check(journey: Journey, acknowledged: dict[str, int]) -> None:
    """Acknowledged rows are there exactly once; pages, query and statistics agree once what waited is committed."""
    deadline = time.monotonic() + 240
    seen: tuple[list[str], int, int] = ([], -1, -1)
    while time.monotonic() < deadline:
        with contextlib.suppress(ApiError, PlatformUnreachable):
            seen = stored(journey.operator)
            if set(acknowledged) <= set(seen[0]) and seen[1] == seen[2] == len(seen[0]):
                break
        time.sleep(0.5)
    ids, total, counted = seen
    missing = set(acknowledged) - set(ids)
    assert not missing, f"{len(missing)} acknowledged rows are lost, such as {sorted(missing)[:3]}"
    assert len(ids) == len(set(ids)), "rows are there twice"
    assert (total, counted) == (len(ids), len(ids)), "pages, query and statistics disagree"


def run_rounds(journey: Journey, kill: Callable[[random.Random], None], seed: int) -> None:
    """Pushes while something dies at a random moment, then checks; as many times as asked."""
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {}
    for _ in range(ROUNDS):
        with stream_of_pushes(journey) as pushers:
            time.sleep(chance.uniform(0.5, 2.5))
            kill(chance)
            time.sleep(chance.uniform(0.5, 1.5))
        for pusher in pushers:
            assert pusher.unexpected == []
            acknowledged |= pusher.acknowledged
        check(journey, acknowledged)
    assert len(acknowledged) >= ROUNDS * ROWS_A_PUSH


def test_killing_the_embedded_platform_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL of the one process, restart on the same home."""
    with PlatformProcess(tmp_path / "home") as running:
        journey = prepare(Journey(running.url, running.home))

        def kill(_: random.Random) -> None:
            running.kill9()
            running.start()

        run_rounds(journey, kill, seed=1)


@pytest.mark.servers
@pytest.mark.parametrize("member", ["data-hub-committer", "data-hub-worker", "service-portal"])
def test_killing_a_process_of_the_cluster_loses_and_doubles_nothing(cluster: Cluster, member: str) -> None:
    """SIGKILL of committer, relay and gateway; the supervisor starts them again."""
    journey = prepare(cluster.journey)
    killed: set[int] = set()

    def kill(_: random.Random) -> None:
        killed.add(kill_member(cluster.process.home / "cluster.json", member, killed))

    run_rounds(journey, kill, seed=len(member))


def kill_member(state_file: Path, member: str, killed: set[int]) -> int:
    """Kills the living process of a member and returns its id; one killed before may still wait for its restart."""
    deadline = time.monotonic() + 60
    while True:
        number = int(json.loads(state_file.read_text(encoding="utf-8"))[member]["pid"])
        if number not in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
                return number
        assert time.monotonic() < deadline, f"{member} was not started again"
        time.sleep(0.05)


@pytest.mark.servers
def test_killing_kafka_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """SIGKILL of the broker and restart: pushes go on, events arrive later, once."""
    journey = prepare(cluster.journey)

    def kill(chance: random.Random) -> None:
        cluster.kafka.kill()
        time.sleep(chance.uniform(0.1, 1.0))
        cluster.kafka.restart()

    run_rounds(journey, kill, seed=7)
    deadline = time.monotonic() + 240
    while any(item["lag"] for item in journey.operator.get("/api/service-portal/v1/events/lag")["items"]):
        assert time.monotonic() < deadline, "events do not catch up"
        time.sleep(0.5)
