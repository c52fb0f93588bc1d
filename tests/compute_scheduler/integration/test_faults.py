"""Real processes, killed at every named point of the protocol: no job lost, none run twice, each with a reason."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.compute_scheduler.crashing import JOBS
from tests.compute_scheduler.yard import Yard

ROOT = Path(__file__).parents[3]
ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "1"))


def points() -> list[str]:
    """Every point that the code names."""
    source = ROOT / "compute-scheduler/src/compute_scheduler"
    found: set[str] = set()
    for path in source.rglob("*.py"):
        found |= set(re.findall(r'steps\.reached\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return sorted(found)


def live(home: Path, proof: Path, point: str, times: int = 1) -> subprocess.CompletedProcess[str]:
    """One life of the platform."""
    command = [sys.executable, "-m", "tests.compute_scheduler.crashing", str(home), str(proof), point, str(times)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.fault
@pytest.mark.slow
def test_a_kill_between_any_two_steps_loses_no_job_and_runs_none_twice(tmp_path: Path) -> None:
    """One home, one life after the other, each killed at another point; the proof is a file outside."""
    home, proof = tmp_path / "home", tmp_path / "proof"
    proof.mkdir()
    named = points()
    assert len(named) >= 12
    for number in range(ROUNDS):
        for point in named:
            died = live(home, proof, point, times=1 + number % 2)
            assert died.returncode == -signal.SIGKILL, (point, died.returncode, died.stderr[-2000:])
    lived = live(home, proof, "-")
    assert lived.returncode == 0, lived.stderr[-2000:]
    jobs = json.loads(lived.stdout)
    ran = Counter((proof / "ran").read_text().split())
    assert len(jobs) == ROUNDS * len(named) * JOBS
    assert {job["id"]: ran[job["id"]] for job in jobs if ran[job["id"]] != 1} == {}
    assert [job for job in jobs if job["state"] != "succeeded" or not job["reason"]] == []


@pytest.mark.fault
def test_a_job_killed_from_outside_ends_with_the_signal_as_its_reason(tmp_path: Path) -> None:
    """As the kernel does when memory runs out."""
    yard = Yard(tmp_path, log_level="ERROR")
    try:
        script = "sleep 60"
        job_id = yard.submit("sh", "-c", script)
        yard.wait(job_id, lambda job: job["state"] == "running")
        folder = tmp_path / "compute/local/attempts" / f"{job_id}.1"
        deadline = time.monotonic() + 20
        while not (folder / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(int((folder / "pid").read_text().split()[0]), signal.SIGKILL)
        job = yard.ended(job_id)
        assert (job["state"], job["reason"]) == ("failed", "命令被信号 9 结束")
    finally:
        yard.close()
