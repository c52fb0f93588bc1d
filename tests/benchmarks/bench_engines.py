"""Submissions into Slurm through the adapter, and jobs over two Slurm clusters, this machine and Ray at once.

A job is lost when it has not succeeded, and doubled when two copies of it came past the claim: each copy adds a line
to one file. The reference for submissions is the same request sent by a plain client in the same run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import urllib3
from brain_testing.servers.ray import Ray as RayServer
from brain_testing.servers.slurm import API
from brain_testing.servers.slurm import Slurm as SlurmServer
from compute_scheduler.engine.cluster import Submission
from compute_scheduler.engine.ray import Ray
from compute_scheduler.engine.rules import Times
from compute_scheduler.engine.slurm import Slurm, job_document

from tests.compute_scheduler.clusters import ClusterCentre, Proof
from tests.compute_scheduler.yard import Yard

SUBMITS, CLIENTS = 500, 8
JOBS = {"alpha": 120, "beta": 120, "local": 120, "ray": 12}
WAIT_S = 300.0


def run() -> dict[str, Any]:
    """The figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {name: stack.enter_context(SlurmServer(name, cpus=32)) for name in ("alpha", "beta")}
        adapter, plain = _submits(servers["alpha"], folder)
        head = stack.enter_context(RayServer())
        jobs_s, lost, doubled = _end_to_end(servers, head, folder, stack)
    note = ", ".join(f"{number} in {name}" for name, number in JOBS.items())
    return {
        "submits into Slurm through the adapter": {"value": adapter, "unit": "/s", "bound": 100, "better": "more"},
        "the same requests by a plain client": {"value": plain, "unit": "/s", "note": f"{CLIENTS} at a time"},
        "jobs over two Slurm, local and Ray": {"value": jobs_s, "unit": "jobs/s", "note": note},
        "lost": {"value": lost, "bound": 0, "better": "less"},
        "double": {"value": doubled, "bound": 0, "better": "less"},
    }


def _submits(server: SlurmServer, folder: Path) -> tuple[float, float]:
    """Submissions a second by the adapter, and by a bare pool of connections; none of these jobs does anything."""
    script, token = folder / "nothing", folder / "alpha.token"
    script.write_text("exit 0\n")
    token.write_text(server.token())
    client = Slurm(server.url, token, "root")
    pool = urllib3.PoolManager(maxsize=CLIENTS, block=True)
    headers = {"X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": token.read_text()}

    def submission(number: int) -> Submission:
        return Submission(f"bench.{number}", "bench", script, Path("/dev/null"), 1, 100, {}, 60)

    def by_pool(number: int) -> None:
        body = job_document(submission(number), "")
        answer = pool.request("POST", f"{server.url}/slurm/{API}/job/submit", headers=headers, json=body)
        assert answer.status == 200

    # Before the cluster is busy with what was submitted: the two rates would not be of the same machine.
    server.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    _rate(by_pool, 50)
    plain = _rate(by_pool, SUBMITS)
    adapter = _rate(lambda number: client.submit(submission(number)), SUBMITS)
    server.command("scancel", "--user=root")
    server.command("scontrol", "update", "PartitionName=main", "State=UP")
    return adapter, plain


def _rate(work: Callable[[int], Any], count: int) -> float:
    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter()
        list(pool.map(work, range(count)))
        return count / (time.perf_counter() - began)


def _end_to_end(
    servers: dict[str, SlurmServer], head: RayServer, folder: Path, stack: ExitStack
) -> tuple[float, int, int]:
    """(jobs a second, lost, double) of JOBS, submitted at once."""
    yard = Yard(folder / "yard", log_level="ERROR")
    stack.callback(yard.close)
    times = Times(beat_s=2.0, lost_s=60.0, patience_s=60.0)
    for name, server in servers.items():
        token = folder / f"{name}.token"
        token.write_text(server.token())
        centre = ClusterCentre(yard, name, folder / name, _slurm(server, token), times)
        stack.callback(centre.stop)
    stack.callback(ClusterCentre(yard, "ray", folder / "ray", lambda: Ray(head.url), times).stop)
    proof = Proof(folder / "ran")
    elsewhere: set[str] = set()
    began = time.perf_counter()
    for name, number in JOBS.items():
        command = ["sh", "-c", "true" if name == "local" else proof.script()]
        spec = {"name": "bench", "command": command, "centre": name, "resources": {"cores": 0.5, "memory_mb": 50}}
        made = yard.json("POST", "/v1/job-batches", json={"jobs": [spec | {"time_limit_s": 300}] * number})
        elsewhere |= {job["id"] for job in made["items"] if name != "local"}
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        left = yard.json("GET", "/v1/jobs", params={"name": "bench", "state": "queued,starting,running", "limit": 1})
        if not left["items"]:
            break
        time.sleep(0.1)
    took = time.perf_counter() - began
    done = yard.json("GET", "/v1/jobs", params={"name": "bench", "state": "succeeded", "limit": 1000})["items"]
    ran = proof.ran()
    missing = elsewhere & {job["id"] for job in done} - ran.keys()
    lost = sum(JOBS.values()) - len(done) + len(missing)
    return len(done) / took, lost, sum(number - 1 for number in ran.values())


def _slurm(server: SlurmServer, token: Path) -> Callable[[], Slurm]:
    return lambda: Slurm(server.url, token, "root")
