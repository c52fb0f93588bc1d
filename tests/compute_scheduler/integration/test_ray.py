"""Jobs in a real Ray: one short module, since a head is seventeen processes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brain_testing.servers.ray import Ray
from compute_scheduler.engine import ray, rules

from tests.compute_scheduler.clusters import ClusterCentre, DroppingProxy, Proof, until
from tests.compute_scheduler.yard import PYTHON, TALK, Yard

pytestmark = [pytest.mark.servers, pytest.mark.slow]
SERIALS = itertools.count(1)
# Ray takes seconds for each job, and many of them on a machine with other work.
PATIENCE_S = 150
TIMES = rules.Times(beat_s=0.5, lost_s=6.0, patience_s=20.0)


class RayCentre(ClusterCentre):
    """A centre on Ray, with its server."""

    def __init__(self, yard: Yard, root: Path, server: Ray) -> None:
        self.server = server
        super().__init__(yard, f"ray-{next(SERIALS)}", root, lambda: ray.Ray(server.url), TIMES)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The running services without the local engine."""
    roles = ("relay", "consumer", "periodic", "scheduler")
    made = Yard(tmp_path_factory.mktemp("yard"), log_level="ERROR", roles=roles, patience_s=PATIENCE_S)
    body = {"quota": {"cores": 64, "memory_mb": 100_000, "gpu": 8}, "weight": 1.0}
    made.json("PUT", f"/v1/tenants/{made.org}/quota", json=body)
    yield made
    made.close()


@pytest.fixture
def centre(yard: Yard, ray_head: Ray, tmp_path: Path) -> Iterator[RayCentre]:
    """A centre of this test on the head that all share."""
    made = RayCentre(yard, tmp_path, ray_head)
    yield made
    made.stop()


def test_jobs_run_in_ray_with_files_logs_limits_and_codes(centre: RayCentre, tmp_path: Path) -> None:
    """All at once, since Ray takes seconds for each: success with files, code, time limit, cancel, card."""
    yard, proof = centre.yard, Proof(tmp_path / "ran")
    small: dict[str, Any] = {"resources": {"cores": 0.5, "memory_mb": 100}}
    digest = yard.json("PUT", "/v1/files", content=b"2\n1\n", headers={"content-type": "application/octet-stream"})
    files = {"inputs": {"in": {"sha256": digest["sha256"]}}, "outputs": ["out"]}
    well = centre.submit(proof.script("sort in > out; echo 好"), **small, **files)
    badly = centre.submit(proof.script("exit 3"), **small)
    long = centre.submit(proof.script("sleep 60"), time_limit_s=1, **small)
    card = {"resources": {"cores": 0.5, "memory_mb": 100, "accelerators": {"gpu": 1}}}
    ended = centre.submit(proof.script("sleep 60"), **card)
    until(proof.ran, lambda ran: ran[ended] == 1, PATIENCE_S)  # it runs when it may begin, which is a moment earlier
    yard.json("POST", f"/v1/jobs/{ended}/cancel")
    reasons = {name: yard.ended(job)["reason"] for name, job in (("well", well), ("badly", badly), ("long", long))}
    assert reasons == {"well": "命令以退出码 0 结束", "badly": "命令以退出码 3 结束", "long": "超过时限 1 秒，已停止"}
    assert yard.ended(ended)["state"] == "cancelled"
    assert yard.job(well)["outputs"]["out"]["sha256"] == hashlib.sha256(b"1\n2\n").hexdigest()
    assert yard.log(well) == "好\n"
    assert proof.ran() == dict.fromkeys([well, badly, long, ended], 1)
    shown = centre.shown()
    assert [(node["name"], node["cores"], node["memory_mb"], node["accelerators"]) for node in shown["nodes"]] == [
        ("ray", 4.0, 2000, {"gpu": 2})
    ]
    # Ray itself would tell them at every look until its head starts anew.
    ours = {f"{job_id}.1" for job_id in (well, badly, long, ended)}
    until(lambda: {job["submission_id"] for job in centre.server.jobs()}, lambda there: not there & ours, PATIENCE_S)


def test_lost_answers_strangers_and_orphans(centre: RayCentre, tmp_path: Path) -> None:
    """A submission whose answer was lost is found by its id; other jobs stay; a copy of nobody's attempt is ended."""
    yard, server, proof = centre.yard, centre.server, Proof(tmp_path / "ran")
    small: dict[str, Any] = {"resources": {"cores": 0.5, "memory_mb": 100}}
    mark = (centre.root / "agent" / "mark").read_text()
    centre.stop()
    with DroppingProxy(server.url) as proxy:
        proxy.dropped = "/api/jobs/"
        centre.use(lambda: OnlySubmits(server.url, proxy.url))
        job_id = centre.submit(proof.script(), **small)
        assert yard.ended(job_id)["state"] == "succeeded"
        assert proxy.drops >= 1
        centre.stop()
    assert proof.ran() == {job_id: 1}
    # An agent tells what it ended itself, so the one that is asked has to be the one that finds it.
    orphan = "job_00000000000000000000000009.1"
    for name, metadata in (("stranger", {}), (orphan, {"industry-brain": mark})):
        body = {"entrypoint": "sleep 60", "submission_id": name, "metadata": metadata, "entrypoint_num_cpus": 0.5}
        assert server.request("POST", "/api/jobs/", body) == 200
    centre.use(lambda: ray.Ray(server.url))
    shown = centre.wait(lambda seen: bool(seen["capabilities"]["health"]["orphans"]))
    assert [line.split()[0] for line in shown["capabilities"]["health"]["orphans"]] == [orphan]
    assert shown["capabilities"]["health"]["foreign_jobs"] >= 1
    states = until(  # it is stopped, and then its record is deleted
        lambda: {job["submission_id"]: job["status"] for job in server.jobs()},
        lambda seen: orphan not in seen,
        PATIENCE_S,
    )
    assert states["stranger"] in ("RUNNING", "PENDING")
    server.request("POST", "/api/jobs/stranger/stop")


def test_a_gang_runs_at_once_in_ray_and_a_member_that_fails_ends_the_others(centre: RayCentre) -> None:
    """Jobs of their own, which begin when all have come and find each other; the one that would sleep on is ended."""
    yard = centre.yard
    asked: dict[str, Any] = {"gang": 2, "resources": {"cores": 0.5, "memory_mb": 100}, "centre": centre.name}
    well = yard.submit(PYTHON, "-c", TALK, **asked, outputs=["sum.txt"])
    badly = yard.submit("sh", "-c", 'test "$RANK" = 1 && exit 7; exec sleep 120', **asked)
    job = yard.ended(well)
    assert job["state"] == "succeeded", job
    assert yard.call("GET", f"/v1/files/{job['outputs']['sum.txt']['sha256']}").content == b"from 1"
    logs = [yard.call("GET", f"/v1/jobs/{well}/logs", params={"rank": rank}).content for rank in (0, 1)]
    assert logs == [f"rank {rank} of 2 at 127.0.0.1,127.0.0.1\n".encode() for rank in (0, 1)]
    job = yard.ended(badly)
    assert (job["state"], job["exit_code"]) == ("failed", 7)
    assert sorted(attempt["outcome"] for attempt in job["attempts"]) == ["cancelled", "failed"]
    ours = {f"{job_id}.1.{rank}" for job_id in (well, badly) for rank in (0, 1)}
    until(lambda: {job["submission_id"] for job in centre.server.jobs()}, lambda there: not there & ours, PATIENCE_S)


class OnlySubmits(ray.Ray):
    """Looks at the cluster itself and submits through a proxy that throws answers away."""

    def __init__(self, url: str, submits: str) -> None:
        super().__init__(url)
        self._through = ray.Ray(submits)

    def submit(self, submission: Any) -> str:
        return self._through.submit(submission)


def test_a_head_that_is_killed_costs_the_attempt_and_not_the_truth(centre: RayCentre, tmp_path: Path) -> None:
    """While the head is away nothing is decided; the centre says so and has no capacity."""
    yard, proof = centre.yard, Proof(tmp_path / "ran")
    job_id = centre.submit(proof.script("sleep 60"), resources={"cores": 0.5, "memory_mb": 100})
    until(proof.ran, lambda ran: ran[job_id] == 1, PATIENCE_S)
    centre.server.kill()
    shown = centre.wait(lambda seen: seen["state"] == "down")
    assert [node["state"] for node in shown["nodes"]] == ["down"]
    assert "没有应答" in shown["capabilities"]["health"]["detail"]
    waiting = centre.submit(proof.script(), resources={"cores": 0.5, "memory_mb": 100})
    yard.wait(waiting, lambda job: job["reason_code"] == "nodes_closed")
    assert yard.job(job_id)["state"] == "running"
    yard.json("POST", f"/v1/jobs/{waiting}/cancel")
    assert yard.ended(waiting)["state"] == "cancelled"
