"""What Slurm does wrong when its daemons are killed, and what may happen to an agent: nothing lost, nothing twice.

Each copy of a job writes its attempt into a file once it may run: the file is the proof.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from brain_testing.process import PlatformProcess
from brain_testing.servers.slurm import Slurm
from compute_scheduler.engine import slurm
from industry_brain.apiclient import ApiClient

from tests.compute_scheduler.clusters import ClusterCentre, Proof, until
from tests.compute_scheduler.yard import Yard

pytestmark = [pytest.mark.servers, pytest.mark.fault, pytest.mark.slow, pytest.mark.xdist_group("slurm")]
BASE = "/api/compute-scheduler/v1"
ROLES = ("relay", "consumer", "periodic", "scheduler")


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
        centre = ClusterCentre(self.yard, name, self.folder / name, lambda: slurm.Slurm(server.url, token, "root"))
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


def test_what_slurm_runs_twice_or_forgets_runs_once(field: Field) -> None:
    """Three clusters side by side, each hurt while it runs one job of 12 s.

    `twice`: the controller is killed 10 s after the submit; the job comes back PENDING and is started again beside the
    first copy. `forgets`: killed after 2 s; the record is gone or PENDING, and the next job may get its id.
    `node`: the slurmd is killed; Slurm calls the node down and requeues, while the first copy goes on.
    Slurm may also kill the first copy: then the attempt is unknown and the job is tried again, never both at once.
    """
    servers = {name: field.centre(name) for name in ("twice", "forgets", "node")}
    began = time.monotonic()
    then = f"sleep 12; echo $BRAIN_JOB >> {field.folder}/done"
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
    assert Counter((field.folder / "done").read_text().split()) == dict.fromkeys(jobs.values(), 1)
    for job_id in jobs.values():
        for attempt in field.yard.job(job_id)["attempts"]:
            assert attempt["outcome"] in ("succeeded", "lost"), attempt
    assert any(sprung), "Slurm kept its records this time, so nothing was tried"


def test_a_second_copy_made_by_hand_is_refused(field: Field) -> None:
    """The same script submitted again, before and after the end of the first: it leaves without a trace."""
    server, centre = field.centre("again")
    job_id = field.running(centre, "sleep 2; echo done")
    script = centre.root / "shared" / f"{job_id}.1" / "run"
    text = script.read_text()
    made = [server.command("sbatch", "--parsable", "-J", "copy", "-o", "/dev/null", str(script)).strip()]
    assert field.yard.ended(job_id)["state"] == "succeeded"
    late = field.folder / "late"
    late.write_text(text)
    made.append(server.command("sbatch", "--parsable", "-J", "copy", "-o", "/dev/null", str(late)).strip())
    for number in made:
        until(lambda number=number: server.command("squeue", "-h", "-t", "all", "-j", number, "-o", "%T"), _is_failed)
        assert "ExitCode=113:0" in server.command("scontrol", "show", "job", number)
    assert field.proof.ran() == {f"{job_id}.1": 1}
    assert field.yard.log(job_id) == "done\n"


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


def test_an_agent_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    """`brain agent --engine slurm` as a process of its own, killed with SIGKILL wherever it is, three times."""
    proof = Proof(tmp_path / "proof")
    env = {"BRAIN_COMPUTE_SCHEDULER_LOCAL": "false", "BRAIN_LOG_LEVEL": "ERROR"}
    quick = {"JOB_BEAT_S": "0.3", "ENGINE_LOOK_S": "0.3", "ENGINE_LOST_S": "4", "ENGINE_PATIENCE_S": "20"}
    quick = {f"BRAIN_COMPUTE_SCHEDULER_{name}": value for name, value in quick.items()}
    with Slurm("kills") as server, PlatformProcess(tmp_path / "home", env=env) as platform:
        key = json.loads((tmp_path / "home/first-credentials.json").read_text())["operator"]["api_key"]
        token = tmp_path / "token"
        token.write_text(server.token())
        with ApiClient(platform.url, key) as api:
            api.post(f"{BASE}/centres", {"id": "kills", "title": "杀", "kind": "edge"})
            own = api.post(f"{BASE}/centres/kills/keys")["key"]
            line = [sys.executable, "-m", "industry_brain", "agent", "--centre", "kills", "--url", platform.url]
            line += ["--home", str(tmp_path / "agent"), "--engine", "slurm", "--engine-url", server.url]
            line += ["--token-file", str(token), "--engine-user", "root", "--shared", str(tmp_path / "shared")]
            jobs: list[str] = []
            for life in range(4):
                with (tmp_path / "agent.log").open("ab") as log:
                    agent = subprocess.Popen(
                        line, env={**os.environ, **quick, "BRAIN_KEY": own}, stdout=log, stderr=log
                    )
                try:
                    if life < 3:
                        until(lambda: _seen(api), bool) if not life else None
                        spec = {"name": "t", "resources": {"cores": 1, "memory_mb": 100}, "centre": "kills"}
                        spec["command"] = ["sh", "-c", f"echo $BRAIN_JOB >> {proof.path}; sleep 0.{life}"]
                        made = api.post(f"{BASE}/job-batches", {"jobs": [spec] * 4})
                        jobs += [item["id"] for item in made["items"]]
                        time.sleep(1.2 + 0.31 * life)
                        continue
                    ended = until(lambda: _left(api), lambda left: left == 0, 90)
                    assert ended == 0
                finally:
                    agent.send_signal(signal.SIGKILL if life < 3 else signal.SIGTERM)
                    agent.wait(30)
            states = {job: api.get(f"{BASE}/jobs/{job}")["state"] for job in jobs}
    assert states == dict.fromkeys(jobs, "succeeded")
    assert proof.ran() == dict.fromkeys(jobs, 1)


def _left(api: ApiClient) -> int:
    return len(api.get(f"{BASE}/jobs", state="queued,starting,running", limit=100)["items"])


def _seen(api: ApiClient) -> bool:
    return bool(api.get(f"{BASE}/centres/kills")["nodes"])


def _is_failed(told: str) -> bool:
    return told.strip() == "FAILED"


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
