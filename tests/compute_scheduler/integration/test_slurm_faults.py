"""What Slurm does wrong when its daemons are killed, and what may happen to an agent: nothing lost, nothing twice.

Each copy of a job writes its attempt into a file once it may run: the file is the proof.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from brain_testing.servers.slurm import Slurm
from compute_scheduler.engine import rules, slurm

from tests.compute_scheduler.clusters import ClusterCentre, Proof, until
from tests.compute_scheduler.yard import Yard

pytestmark = [pytest.mark.servers, pytest.mark.fault, pytest.mark.slow]
ROLES = ("relay", "consumer", "periodic", "scheduler")
# Longer than a controller that is being killed and started keeps a question waiting.
TIMES = rules.Times(beat_s=0.3, lost_s=20.0, patience_s=3.0)


class Field:
    """A yard without the local engine, to which centres on Slurm clusters of their own are added."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.yard = Yard(folder / "yard", log_level="ERROR", roles=ROLES)
        stack.callback(self.yard.close)
        self.proof = Proof(folder / "proof")

    def centre(self, name: str) -> tuple[Slurm, ClusterCentre]:
        """A fresh cluster and its centre."""
        server = self.stack.enter_context(Slurm(name, nodes=2, node_timeout=5))
        token = self.folder / f"{name}.token"
        token.write_text(server.token())
        client = partial(slurm.Slurm, server.url, token, "root")
        centre = ClusterCentre(self.yard, name, self.folder / name, client, times=TIMES)
        self.stack.callback(centre.stop)
        return server, centre

    def running(self, centre: ClusterCentre, then: str, **spec: object) -> str:
        """A job of a centre, once it runs."""
        job_id = centre.submit(f"echo $BRAIN_ATTEMPT >> {self.proof.path}; {then}", **spec)
        until(lambda: self.proof.ran()[f"{job_id}.1"], lambda count: count == 1)
        return job_id


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    """A field of this test alone."""
    with ExitStack() as stack:
        yield Field(tmp_path, stack)


def hurt(field: Field, turn: int) -> bool:
    """Three clusters side by side, each hurt while it runs one job of 12 s; whether a controller lost its records.

    `twice`: the controller is killed 10 s after the submit; the job comes back PENDING and is started again beside the
    first copy. `forgets`: killed after 2 s; the record is gone or PENDING, and the next job may get its id.
    `node`: the slurmd is killed; Slurm calls the node down and requeues, while the first copy goes on.
    Slurm may also kill the first copy: then the attempt is unknown and the job is tried again, never both at once.
    """
    servers = {name: field.centre(f"{name}{turn}") for name in ("twice", "forgets", "node")}
    began = time.monotonic()
    # Slurm kills the processes of a copy one after the other: a shell must not go on because its sleep died first.
    then = f"sleep 12 && echo $BRAIN_JOB >> {field.folder}/done{turn}"
    jobs = {name: field.running(centre, then, retries=1) for name, (_, centre) in servers.items()}
    ids = {name: _row(server, f"{jobs[name]}.1")["id"] for name, (server, _) in servers.items()}
    time.sleep(1.5)
    forgets, node = servers["forgets"][0], servers["node"][0]
    forgets.kill_controller()
    node.kill_node(node.command("squeue", "-h", "-j", ids["node"], "-o", "%N").strip())
    forgets.start_controller()
    sprung = [_state(forgets, f"{jobs['forgets']}.1") != "RUNNING"]
    after = [servers["forgets"][1].submit(f"echo $BRAIN_ATTEMPT >> {field.proof.path}") for _ in range(3)]
    time.sleep(max(0.0, began + 10 - time.monotonic()))
    servers["twice"][0].kill_controller()
    servers["twice"][0].start_controller()
    sprung.append(_state(servers["twice"][0], f"{jobs['twice']}.1") != "RUNNING")
    for job_id in [*jobs.values(), *after]:
        job = field.yard.ended(job_id, 90)
        assert job["state"] == "succeeded", job
    time.sleep(1.0)  # a second copy that was refused leaves now
    begun = [f"{job_id}.{field.yard.job(job_id)['attempt']}" for job_id in [*jobs.values(), *after]]
    assert set(field.proof.ran().values()) == {1}  # no attempt twice
    assert set(begun) <= field.proof.ran().keys()
    assert Counter((field.folder / f"done{turn}").read_text().split()) == dict.fromkeys(jobs.values(), 1)
    for job_id in jobs.values():
        for attempt in field.yard.job(job_id)["attempts"]:
            assert attempt["outcome"] in ("succeeded", "lost"), attempt
    return any(sprung)


def test_what_slurm_runs_twice_or_forgets_runs_once(field: Field) -> None:
    """Nothing that Slurm does makes two of one; at times it keeps its records, and then it is hurt again."""
    assert any(hurt(field, turn) for turn in range(4)), "Slurm kept its records each time, so nothing was tried"


def test_a_record_that_was_purged_is_not_missed_when_the_marker_is_there(field: Field) -> None:
    """The agent is away while jobs end, fail and die, and Slurm forgets all of them.

    Where a marker lies it decides; the copy that was killed without one is unknown, fenced and retried.
    """
    server, centre = field.centre("purged")
    well = field.running(centre, "sleep 4; echo out > out", outputs=["out"])
    badly = field.running(centre, "sleep 3; exit 7")
    dead = field.running(centre, "sleep 60", retries=1)
    centre.stop()
    shared = centre.root / "shared"
    until(lambda: all((shared / f"{job}.1/exit.json").exists() for job in (well, badly)), bool)
    server.forget_jobs()
    _kill_copy(f"{dead}.1")
    centre.start()
    assert field.yard.ended(well)["outputs"]["out"]["size"] == 4
    assert field.yard.ended(badly)["reason"] == "命令以退出码 7 结束"
    until(lambda: field.proof.ran()[f"{dead}.2"], lambda count: count == 1)
    attempts = field.yard.job(dead)["attempts"]
    lost = next(attempt for attempt in attempts if attempt["epoch"] == 1)
    assert (lost["outcome"], lost["reason"]) == ("lost", "集群没有这次运行的记录，也没有它的结果标记；运行结果未知")
    field.yard.json("POST", f"/v1/jobs/{dead}/cancel")
    assert field.yard.ended(dead)["state"] == "cancelled"
    assert set(field.proof.ran().values()) == {1}


def _row(server: Slurm, name: str) -> dict[str, str]:
    return next(row for row in server.jobs() if row["name"] == name)


def _state(server: Slurm, name: str) -> str:
    return next((row["state"] for row in server.jobs() if row["name"] == name), "")


def _kill_copy(attempt: str) -> None:
    """SIGKILL to the script of a copy and its command, as when their node dies."""
    marks = (f"BRAIN_ATTEMPT={attempt}".encode(), f"/{attempt}/run".encode())
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                told = Path(f"/proc/{name}/environ").read_bytes() + Path(f"/proc/{name}/cmdline").read_bytes()
                if any(mark in told for mark in marks):
                    os.kill(int(name), signal.SIGKILL)
