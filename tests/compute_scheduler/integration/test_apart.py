"""The agent of this machine in a process of its own, as `brain up` keeps it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient

from tests.compute_scheduler.yard import Yard


def agents(home: Path) -> list[int]:
    """Process ids of the agents of a home."""
    wanted = f"compute_scheduler.agent.apart.*{home}/compute/local"
    found = subprocess.run(["pgrep", "-f", wanted], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def key_of(home: Path) -> str:
    """The operator's key."""
    return str(json.loads((home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]["api_key"])


def until(fulfilled: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Waits."""
    deadline = time.monotonic() + timeout_s
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Its agent runs apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAIN_COMPUTE_SCHEDULER_LOCAL_APART", "true")
        made = Yard(tmp_path_factory.mktemp("apart"), log_level="ERROR")
    yield made
    made.close()
    until(lambda: agents(made.home) == [])


def test_jobs_run_with_their_files_log_and_reason(yard: Yard) -> None:
    """What goes through routes and what is asked directly."""
    made = yard.json("PUT", "/v1/files", content="一,二\n".encode() * 100_000)
    script = "wc -l < a.csv; sort -u a.csv > b.csv"
    job_id = yard.submit("sh", "-c", script, inputs={"a.csv": {"sha256": made["sha256"]}}, outputs=["b.csv"])
    job = yard.ended(job_id)
    assert (job["state"], job["exit_code"]) == ("succeeded", 0)
    assert yard.log(job_id) == "100000\n"
    assert yard.call("GET", f"/v1/files/{job['outputs']['b.csv']['sha256']}").content == "一,二\n".encode()
    failed = yard.ended(yard.submit("sh", "-c", "exit 3"))
    assert (failed["state"], failed["exit_code"]) == ("failed", 3)


@pytest.mark.fault
def test_a_killed_agent_is_started_again_and_its_jobs_go_on(yard: Yard) -> None:
    """The job runs once, and what is submitted meanwhile begins when the agent is back."""
    yard.ended(yard.submit("true"))
    (before,) = agents(yard.home)
    job_id = yard.submit("sh", "-c", "echo begun; sleep 3; echo done")
    yard.wait(job_id, lambda job: job["state"] == "running")
    os.kill(before, signal.SIGKILL)
    late = yard.submit("true")
    assert yard.ended(job_id)["state"] == "succeeded"
    assert yard.log(job_id) == "begun\ndone\n"
    assert yard.ended(late)["state"] == "succeeded"
    (after,) = agents(yard.home)
    assert after != before


@pytest.mark.fault
@pytest.mark.slow
def test_it_ends_with_a_killed_platform_and_the_next_one_takes_the_job_up(tmp_path: Path) -> None:
    """SIGKILL of the whole platform: the agent sees that nobody is there, the job goes on and is not run again."""
    home = tmp_path / "home"
    base = "/api/compute-scheduler/v1/jobs"
    with PlatformProcess(home) as platform:
        with ApiClient(platform.url, key_of(home)) as api:
            spec = {"name": "t", "command": ["sh", "-c", "echo begun; sleep 6; echo done"], "resources": {"cores": 1}}
            job = api.post(base, spec)["id"]
            until(lambda: api.get(f"{base}/{job}")["state"] == "running")
        (before,) = agents(home)
        os.kill(platform.pid, signal.SIGKILL)
        until(lambda: agents(home) == [])
        platform.start()
        with ApiClient(platform.url, key_of(home)) as api:
            until(lambda: api.get(f"{base}/{job}")["state"] == "succeeded")
            assert len(api.get(f"{base}/{job}")["attempts"]) == 1
        assert agents(home) != [before]
    until(lambda: agents(home) == [])
    said = (home / "process.log").read_text(encoding="utf-8")
    assert "leaked" not in said
    assert "workers_still_running" not in said
