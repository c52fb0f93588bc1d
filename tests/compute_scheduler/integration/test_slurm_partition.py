"""A Slurm centre whose agent is cut off from the platform while jobs run, and comes back: fenced, and nothing twice.

`brain agent --engine slurm` is a process of its own and reaches the platform through a proxy that can be cut.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from brain_testing.faulty import FaultyProxy
from brain_testing.process import PlatformProcess
from brain_testing.servers.slurm import Slurm
from industry_brain.apiclient import ApiClient

from tests.compute_scheduler.clusters import Proof, until

pytestmark = [pytest.mark.servers, pytest.mark.fault, pytest.mark.slow]
BASE = "/api/compute-scheduler/v1"
QUICK = {"JOB_BEAT_S": "0.3", "ENGINE_LOOK_S": "0.3", "ENGINE_LOST_S": "4", "ENGINE_PATIENCE_S": "60"}


class Far:
    """A platform with its local centre, a Slurm cluster as the centre `far`, and the wire between both."""

    def __init__(self, folder: Path, api: ApiClient, server: Slurm, wire: FaultyProxy) -> None:
        self.api, self.server, self.wire = api, server, wire
        self.proof = Proof(folder / "proof")
        token = folder / "token"
        token.write_text(server.token())
        api.post(f"{BASE}/centres", {"id": "far", "title": "远", "kind": "edge"})
        self._key = api.post(f"{BASE}/centres/far/keys")["key"]
        self._line = [sys.executable, "-m", "industry_brain", "agent", "--centre", "far"]
        self._line += ["--url", f"http://{wire.address}", "--home", str(folder / "agent"), "--engine", "slurm"]
        self._line += ["--engine-url", server.url, "--token-file", str(token), "--engine-user", "root"]
        self._line += ["--shared", str(folder / "shared")]
        self._log = folder / "agent.log"

    @contextmanager
    def agent(self) -> Iterator[None]:
        """The agent's process, killed with SIGKILL at the end."""
        quick = {f"BRAIN_COMPUTE_SCHEDULER_{name}": value for name, value in QUICK.items()}
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._line, env={**os.environ, **quick, "BRAIN_KEY": self._key}, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.kill()
            process.wait(30)

    def submit(self, then: str, **spec: Any) -> str:
        """A job that writes its attempt into the proof once it may run, then does more."""
        body = {"name": "t", "resources": {"cores": 0.5, "memory_mb": 100}, "retries": 1} | spec
        body["command"] = ["sh", "-c", f"echo $BRAIN_ATTEMPT >> {self.proof.path}; {then}"]
        return str(self.api.post(f"{BASE}/jobs", body)["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as the API shows it."""
        found: dict[str, Any] = self.api.get(f"{BASE}/jobs/{job_id}")
        return found

    def centre(self, state: str) -> None:
        """Waits until the far centre is shown as asked."""
        until(lambda: self.api.get(f"{BASE}/centres/far"), lambda seen: seen["state"] == state and seen["nodes"], 60)

    def open_local(self, state: str) -> None:
        """Whether this machine takes jobs."""
        self.api.patch(f"{BASE}/centres/local", {"state": state})

    def partition(self, state: str) -> None:
        """Whether Slurm starts jobs."""
        self.server.command("scontrol", "update", "PartitionName=main", f"State={state}")

    def state(self, attempt: str) -> str:
        """What Slurm says of the job of an attempt."""
        return next((row["state"] for row in self.server.jobs() if row["name"] == attempt), "")


def ends(job: dict[str, Any]) -> list[tuple[int, str, str]]:
    """(epoch, centre, outcome) of a job's attempts."""
    return sorted((item["epoch"], item["centre"], item["outcome"]) for item in job["attempts"])


@pytest.fixture
def far(slurms: dict[str, Slurm], tmp_path: Path) -> Iterator[Far]:
    """Everything but the agent."""
    env = {"BRAIN_LOG_LEVEL": "ERROR", "BRAIN_COMPUTE_SCHEDULER_AGENT_LEASE_S": "3"}
    env["BRAIN_COMPUTE_SCHEDULER_JOB_WRITABLE"] = json.dumps([str(tmp_path)])
    with PlatformProcess(tmp_path / "home", env=env) as platform, FaultyProxy("127.0.0.1", platform.port) as wire:
        key = json.loads((tmp_path / "home/first-credentials.json").read_text())["operator"]["api_key"]
        with ApiClient(platform.url, key) as api:
            yield Far(tmp_path, api, slurms["beta"], wire)


def test_a_centre_that_is_cut_off_and_comes_back_runs_nothing_twice(far: Far) -> None:
    """First cut: what runs is waited for, and what has not begun runs elsewhere; its copy over there is refused.

    Second cut: the operator declares the centre lost, the job runs elsewhere, and its old copy is stopped on return.
    """
    with far.agent():
        far.centre("open")
        far.open_local("drained")
        running, long = far.submit("sleep 3"), far.submit("[ $BRAIN_ATTEMPT = $BRAIN_JOB.2 ] || sleep 300")
        until(far.proof.ran, lambda ran: ran[f"{running}.1"] == ran[f"{long}.1"] == 1, 60)
        far.partition("DOWN")
        waiting = far.submit("true")
        until(lambda: far.state(f"{waiting}.1"), lambda state: state == "PENDING", 60)
        far.wire.cut()
        far.open_local("open")
        far.centre("lost")
        moved = until(lambda: far.job(waiting), lambda job: job["state"] == "succeeded", 60)
        assert ends(moved) == [(1, "far", "returned"), (2, "local", "succeeded")]
        far.partition("UP")
        until(lambda: far.state(f"{waiting}.1"), lambda state: state == "RUNNING", 60)  # it asks whether it may begin
        for job_id in (running, long):
            job = until(lambda job_id=job_id: far.job(job_id), lambda job: "失联" in job["reason"], 60)
            assert (job["state"], job["attempt"]) == ("running", 1)
        far.wire.resume()
        until(lambda: far.job(running), lambda job: job["state"] == "succeeded", 60)
        until(lambda: far.state(f"{waiting}.1"), lambda state: state not in ("RUNNING", "COMPLETING"), 60)
        assert far.job(long)["state"] == "running"
    with far.agent():  # killed and started again, it finds what it holds
        far.centre("open")
        far.wire.cut()
        far.centre("lost")
        assert far.api.post(f"{BASE}/centres/far/fence") is not None
        again = until(lambda: far.job(long), lambda job: job["state"] == "succeeded", 60)
        assert ends(again) == [(1, "far", "lost"), (2, "local", "succeeded")]
        assert far.state(f"{long}.1") == "RUNNING"
        far.wire.resume()
        until(lambda: far.state(f"{long}.1"), lambda state: state not in ("RUNNING", "COMPLETING"), 60)
    assert far.proof.ran() == dict.fromkeys([f"{running}.1", f"{long}.1", f"{long}.2", f"{waiting}.2"], 1)
    told = far.api.get(f"{BASE}/accounting", limit=100)["items"]
    assert sorted(item["attempt"] for item in told) == sorted(far.proof.ran())
