"""SIGKILL between any two steps of a run: nothing is lost, nothing happens twice, each run ends with a reason."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_testing.process import PlatformProcess, free_port

from tests.algorithm_dev.integration.test_runs import BASE, Works

POINTS = [
    "stage", "write-staged", "submit", "write-queued", "write-computed", "register", "write-registered", "push",
    "write-pushed", "write-succeeded",
]  # fmt: skip
# Between an effect and the record of it, where a repeat would show; `make soak` dies at every point.
SHORT = ["submit", "write-queued", "write-pushed"]
ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "1"))


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """A platform that dies where it is told."""
    home, port = tmp_path_factory.mktemp("dying"), free_port()
    script = Path(__file__).parents[1] / "dying_platform.py"
    line = [sys.executable, str(script), str(home), str(port)]
    env = {"BRAIN_ALGORITHM_DEV_RUN_LEASE_S": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    with PlatformProcess(home, port, env, line=line) as platform:
        yield Works(platform)


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_survives_the_death_of_the_platform_at_every_step(works: Works) -> None:
    """One run a point, the platform killed there once: it succeeds with one job, one push, and the right rows."""
    for point in SHORT if ROUNDS == 1 else POINTS:
        into = f"enterprise.shift_{point.replace('-', '_')}"
        (works.platform.home / "die-at").write_text(point, encoding="utf-8")
        run = works.start(into)
        deadline = time.monotonic() + 90
        while works.platform.is_running:
            assert time.monotonic() < deadline, f"the platform did not reach {point}"
            time.sleep(0.05)
        works.platform.start()
        done = works.finished(run["id"])
        assert done["state"] == "succeeded", (point, done["reason"])
        assert sorted(round(row["oee"], 4) for row in works.rows(into)) == [0.374, 0.7479], point
        label = f"algorithm-dev/run={run['id']}"
        jobs = works.firm.get("/api/compute-scheduler/v1/jobs", label=label)["items"]
        assert [job["id"] for job in jobs] == [done["job_id"]], point
        pushes = works.firm.get("/api/data-hub/v1/pushes", dataset=into)["items"]
        assert [push["id"] for push in pushes] == [done["push_id"]], point
    items = works.firm.get(f"{BASE}/runs", limit=100)["items"]
    assert {item["state"] for item in items} == {"succeeded"}
