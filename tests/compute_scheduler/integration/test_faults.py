"""Real processes, killed at every named point of the protocol: no job lost, none run twice, each with a reason."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from compute_scheduler.engine.folder import AttemptFolder

from tests.compute_scheduler.lives import live, points
from tests.compute_scheduler.yard import Yard

ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "1"))
JOBS = 3


@pytest.mark.fault
@pytest.mark.slow
def test_a_kill_between_any_two_steps_loses_no_job_and_runs_none_twice(tmp_path: Path) -> None:
    """One home, one life after the other, each killed at another point; the proof is a file outside."""
    named = points("")
    assert len(named) >= 12
    lives = [(point, 1 + number % 2) for number in range(ROUNDS) for point in named]
    lived = live(tmp_path, lives, jobs=JOBS)
    assert lived.died == [[point, -signal.SIGKILL] for point, _ in lives] + [["", 0]], lived.said
    assert len(lived.jobs) == len(lives) * JOBS
    assert {job["id"]: lived.ran[job["id"]] for job in lived.jobs if lived.ran[job["id"]] != 1} == {}
    assert [job for job in lived.jobs if job["state"] != "succeeded" or not job["reason"]] == []


@pytest.mark.fault
def test_a_job_killed_from_outside_ends_with_the_signal_as_its_reason(tmp_path: Path) -> None:
    """As the kernel does when memory runs out."""
    yard = Yard(tmp_path, log_level="ERROR")
    try:
        script = "sleep 60"
        job_id = yard.submit("sh", "-c", script)
        yard.wait(job_id, lambda job: job["state"] == "running")
        folder = AttemptFolder(tmp_path / "compute/local/attempts", f"{job_id}.1")
        deadline = time.monotonic() + 20
        while (facts := folder.facts()) is None or facts.process is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(facts.process[0], signal.SIGKILL)
        job = yard.ended(job_id)
        assert (job["state"], job["reason"]) == ("failed", "命令被信号 9 结束")
    finally:
        yard.close()
