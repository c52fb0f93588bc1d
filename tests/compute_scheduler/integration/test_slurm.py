"""Jobs in real Slurm clusters: what is asked for arrives, what happens is told, and others are left alone."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brain_testing.servers.slurm import Slurm
from compute_scheduler.engine import slurm
from compute_scheduler.engine.cluster import ClusterSilent, Copy, Submission

from tests.compute_scheduler.clusters import ClusterCentre, DroppingProxy, Proof, until
from tests.compute_scheduler.yard import PYTHON, TALK, Yard

pytestmark = [pytest.mark.servers]


class Clusters:
    """A yard with the centre of this machine and one for each of two Slurm clusters."""

    def __init__(self, folder: Path, servers: dict[str, Slurm]) -> None:
        self.servers = servers
        self.yard = Yard(folder / "yard", log_level="ERROR")
        self.proof = Proof(folder / "proof")
        self.tokens = {name: folder / f"{name}.token" for name in servers}
        self.centres: dict[str, ClusterCentre] = {}
        for name, server in servers.items():
            self.renew(name)
            self.centres[name] = ClusterCentre(self.yard, name, folder / name, lambda name=name: self.client(name))
            assert server.is_up("slurmctld")

    def client(self, name: str, url: str = "") -> slurm.Slurm:
        """A client of a cluster."""
        return slurm.Slurm(url or self.servers[name].url, self.tokens[name], "root")

    def renew(self, name: str) -> None:
        """A fresh token in the file."""
        self.tokens[name].write_text(self.servers[name].token())

    def close(self) -> None:
        """Ends agents and services."""
        for centre in self.centres.values():
            centre.stop()
        self.yard.close()


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory, slurms: dict[str, Slurm]) -> Iterator[Clusters]:
    """Two Slurm clusters beside the local engine, one for a module."""
    made = Clusters(tmp_path_factory.mktemp("slurm"), slurms)
    yield made
    made.close()


def test_two_slurm_clusters_and_this_machine_share_one_queue(clusters: Clusters, tmp_path: Path) -> None:
    """Inputs arrive, outputs and logs come back, every job runs once, wherever it was sent."""
    yard = clusters.yard
    data = b"3\n1\n2\n"
    digest = yard.json("PUT", "/v1/files", content=data, headers={"content-type": "application/octet-stream"})["sha256"]
    proof = Proof(tmp_path / "ran")
    script = "sort numbers > sorted; echo sorted by $BRAIN_ATTEMPT"
    spec = {"inputs": {"numbers": {"sha256": digest}}, "outputs": ["sorted"]}
    jobs = {}
    for _ in range(6):
        for name in ("alpha", "beta"):
            jobs[clusters.centres[name].submit(proof.script(script), **spec)] = name
        jobs[yard.submit("sh", "-c", script, centre="local", **spec)] = "local"
    for job_id, name in jobs.items():
        job = yard.ended(job_id)
        assert (job["state"], job["exit_code"], job["attempts"][-1]["centre"]) == ("succeeded", 0, name), job
        assert job["outputs"]["sorted"] == {"sha256": hashlib.sha256(b"1\n2\n3\n").hexdigest(), "size": 6}
        assert yard.log(job_id) == f"sorted by {job_id}.1\n"
    assert proof.ran() == {job_id: 1 for job_id, name in jobs.items() if name != "local"}
    names = Counter(row["name"] for server in clusters.servers.values() for row in server.jobs())
    assert {job_id: names[f"{job_id}.1"] for job_id in jobs} == {
        job_id: 0 if name == "local" else 1 for job_id, name in jobs.items()
    }


def test_what_a_job_asks_for_is_what_slurm_gives_it(clusters: Clusters) -> None:
    """Cores, memory (10^6 bytes to MiB, rounded up), cards, half a card as two of its four shards, and minutes."""
    centre, server = clusters.centres["alpha"], clusters.servers["alpha"]
    asked = {"cores": 2.5, "memory_mb": 1000, "accelerators": {"gpu": 1}}
    clusters.yard.json(
        "PUT",
        f"/v1/tenants/{clusters.yard.org}/quota",
        json={"quota": {"cores": 64, "memory_mb": 100_000, "gpu": 8}, "weight": 1.0},
    )
    job_id = centre.submit("sleep 30", resources=asked, time_limit_s=90)
    clusters.yard.wait(job_id, lambda job: job["state"] == "running")
    told = server.command("scontrol", "show", "job", _row_of(server, f"{job_id}.1")["id"])
    assert re.findall(r"NumCPUs=(\d+)|MinMemoryNode=(\S+)|TresPerNode=(\S+)|TimeLimit=(\S+)|Comment=(\S+)", told) == [
        ("", "", "", "00:03:00", ""),
        ("3", "", "", "", ""),
        ("", "954M", "", "", ""),
        ("", "", "", "", "industry-brain"),
        ("", "", "gres:gpu:1", "", ""),
    ]
    part = centre.submit("sleep 30", resources=asked | {"cores": 1, "accelerators": {"gpu": 0.5}})
    clusters.yard.wait(part, lambda job: job["state"] == "running")
    told = server.command("scontrol", "show", "job", _row_of(server, f"{part}.1")["id"])
    assert "TresPerNode=gres:shard:2\n" in told
    clusters.yard.json("POST", f"/v1/jobs/{part}/cancel")
    clusters.yard.json("POST", f"/v1/jobs/{job_id}/cancel")
    assert clusters.yard.ended(job_id)["reason"] == "已按要求取消"
    until(lambda: _row_of(server, f"{job_id}.1")["state"], lambda state: state == "CANCELLED")


@pytest.mark.parametrize(
    ("script", "limit_s", "state", "reason", "code"),
    [
        ("exit 3", 60, "failed", "命令以退出码 3 结束", 3),
        ("kill -9 $$", 60, "failed", "命令被信号 9 结束", None),
        ("trap '' TERM; sleep 60; sleep 60", 1, "failed", "超过时限 1 秒，已停止", None),
    ],
)
def test_the_end_of_a_command_is_told_as_it_was(
    clusters: Clusters, script: str, limit_s: int, state: str, reason: str, code: int | None
) -> None:
    """Exit code, signal, and the time limit in seconds though Slurm counts minutes."""
    job = clusters.yard.ended(clusters.centres["beta"].submit(script, time_limit_s=limit_s))
    assert (job["state"], job["reason"], job["exit_code"]) == (state, reason, code)
    assert job["attempts"][-1]["usage"]["run_s"] >= (limit_s if limit_s == 1 else 0)


def test_a_log_is_read_while_the_job_runs(clusters: Clusters) -> None:
    """What was printed is there before the end, also in Chinese."""
    job_id = clusters.centres["alpha"].submit("echo 第一行; sleep 3; echo 第二行")
    assert until(lambda: clusters.yard.log(job_id), lambda text: bool(text)) == "第一行\n"
    assert clusters.yard.job(job_id)["state"] == "running"
    assert clusters.yard.ended(job_id)["state"] == "succeeded"
    assert clusters.yard.log(job_id) == "第一行\n第二行\n"


def test_a_job_that_somebody_cancels_in_slurm_says_so(clusters: Clusters) -> None:
    """Not by us, so not `cancelled`: it failed, and may be retried."""
    server = clusters.servers["alpha"]
    job_id = clusters.centres["alpha"].submit("sleep 60")
    clusters.yard.wait(job_id, lambda job: job["state"] == "running")
    server.command("scancel", _row_of(server, f"{job_id}.1")["id"])
    job = clusters.yard.ended(job_id)
    assert (job["state"], job["reason"]) == ("failed", "作业在集群一侧被取消，不是经本平台")


def test_what_others_hold_is_kept_off_and_told(clusters: Clusters) -> None:
    """A foreign job holds nearly all memory of both nodes: ours are not refused for ever, but wait and say why."""
    server, centre = clusters.servers["beta"], clusters.centres["beta"]
    other: dict[str, Any] = {"name": "other", "tasks": 2, "nodes": 2, "memory_per_node": 15_900}
    other |= {"environment": {"PATH": "/usr/bin:/bin"}, "current_working_directory": "/"}
    other |= {"standard_output": "/dev/null", "standard_error": "/dev/null"}
    made = server.rest("POST", "/job/submit", {"job": other, "script": "#!/bin/sh\nsleep 60"})
    shown = centre.wait(lambda seen: all(node["load"].get("foreign_cores") == 1 for node in seen["nodes"]))
    assert [node["load"]["foreign_memory_mb"] for node in shown["nodes"]] == [16672, 16672]  # 15,900 MiB
    assert shown["capabilities"]["health"]["foreign_jobs"] == 1
    small = centre.submit("true", resources={"cores": 1, "memory_mb": 90})
    assert clusters.yard.ended(small)["state"] == "succeeded"
    large = centre.submit("true", resources={"cores": 1, "memory_mb": 500})
    waits = clusters.yard.wait(large, lambda job: job["reason_code"] == "resources")
    assert (waits["state"], "内存不足" in waits["reason"]) == ("queued", True)
    server.command("scancel", str(made["job_id"]))
    assert clusters.yard.ended(large)["state"] == "succeeded"


def test_what_waits_in_slurm_says_why(clusters: Clusters) -> None:
    """A job that Slurm holds back is `starting`, with Slurm's own reason; it was taken by HTTP 200 with error 2068."""
    server, centre = clusters.servers["alpha"], clusters.centres["alpha"]
    server.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    job_id = centre.submit("true")
    waits = clusters.yard.wait(job_id, lambda job: "PartitionDown" in job["reason"])
    assert (waits["state"], waits["reason_code"]) == ("starting", "engine_queue")
    server.command("scontrol", "update", "PartitionName=main", "State=UP")
    assert clusters.yard.ended(job_id)["state"] == "succeeded"


def test_jobs_of_others_are_left_alone_and_orphans_are_ended_and_told(clusters: Clusters, tmp_path: Path) -> None:
    """A foreign job may bear our name, even of a live attempt; an orphan bears our mark and an attempt nobody holds."""
    server, centre, client = clusters.servers["alpha"], clusters.centres["alpha"], clusters.client("alpha")
    run = tmp_path / "run"
    run.write_text("#!/bin/bash\nsleep 30\n")
    orphan = "job_00000000000000000000000009.1"
    mark = (centre.root / "agent" / "mark").read_text()
    names = {"stranger": "", orphan: f"industry-brain other-{mark} {orphan}"}
    for name, comment in names.items():
        server.command("sbatch", "-J", name, "--comment", comment, "-o", "/dev/null", str(run))
    centre.wait(lambda shown: shown["capabilities"]["health"]["foreign_jobs"] == 2)
    client.submit(Submission(orphan, mark, run, tmp_path / "log", 1, 100, {}, 60))
    shown = centre.wait(lambda seen: bool(seen["capabilities"]["health"]["orphans"]))
    assert [line.split()[0] for line in shown["capabilities"]["health"]["orphans"]] == [orphan]
    ours = until(
        lambda: [row for row in server.jobs() if row["comment"].startswith(f"industry-brain {mark} {orphan}")],
        lambda rows: [row["state"] for row in rows] == ["CANCELLED"],
    )
    assert len(ours) == 1
    states = {row["name"]: row["state"] for row in server.jobs() if row["comment"] == names.get(row["name"])}
    assert states == {"stranger": "RUNNING", orphan: "RUNNING"}
    for row in server.jobs():
        if row["name"] in names:
            server.command("scancel", row["id"])


def test_a_submission_whose_answer_is_lost_is_found_and_not_repeated(clusters: Clusters, tmp_path: Path) -> None:
    """Slurm has taken each job, the agent never hears it: one job of each name, each runs once."""
    server, centre = clusters.servers["beta"], clusters.centres["beta"]
    centre.stop()
    proof = Proof(tmp_path / "ran")
    with DroppingProxy(server.url) as proxy:
        proxy.dropped = "/job/submit"
        centre.use(lambda: clusters.client("beta", proxy.url))
        jobs = [centre.submit(proof.script()) for _ in range(4)]
        for job_id in jobs:
            assert clusters.yard.ended(job_id)["state"] == "succeeded"
        assert proxy.drops == 4
        centre.stop()
    centre.use(lambda: clusters.client("beta"))
    assert proof.ran() == dict.fromkeys(jobs, 1)
    names = [row["name"] for row in server.jobs()]
    assert [names.count(f"{job_id}.1") for job_id in jobs] == [1] * 4


def test_a_silent_controller_or_a_refused_token_costs_time_and_no_job(clusters: Clusters, tmp_path: Path) -> None:
    """The centre says so and has no capacity; nothing fails; what ran meanwhile has ended well."""
    server, centre, yard = clusters.servers["beta"], clusters.centres["beta"], clusters.yard
    proof = Proof(tmp_path / "ran")
    running = centre.submit(proof.script("sleep 2"))
    yard.wait(running, lambda job: job["state"] == "running")
    unknown = Copy("job_00000000000000000000000008.1", "999999", "running")
    clusters.client("beta").cancel(unknown)  # HTTP 500 with error_number 2017: it is not there
    server.stop_controller()
    with pytest.raises(ClusterSilent, match="没有应答"):  # HTTP 500 with the same words and another number: no evidence
        clusters.client("beta").cancel(unknown)
    shown = centre.wait(lambda seen: seen["state"] == "down")
    assert [node["state"] for node in shown["nodes"]] == ["down", "down"]
    assert "没有应答" in shown["capabilities"]["health"]["detail"]
    waiting = centre.submit(proof.script())
    assert yard.ended(running)["state"] == "succeeded"
    assert yard.wait(waiting, lambda job: job["reason_code"] == "nodes_closed")["state"] == "queued"
    server.start_controller()
    assert yard.ended(waiting)["state"] == "succeeded"
    clusters.tokens["beta"].write_text("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDB9.c2lnbmVk")
    shown = centre.wait(lambda seen: seen["state"] == "down")
    assert shown["capabilities"]["health"]["detail"] == "令牌已过期，请在令牌文件中换上新的（scontrol token）"
    clusters.renew("beta")
    centre.wait(lambda seen: seen["state"] == "open")
    assert yard.ended(centre.submit(proof.script()))["state"] == "succeeded"
    assert sorted(proof.ran().values()) == [1, 1, 1]


def test_a_gang_runs_at_once_over_both_nodes_or_not_at_all(clusters: Clusters) -> None:
    """Slurm holds one member back: the other has its node and waits; released, they find each other and both run."""
    server, yard = clusters.servers["alpha"], clusters.yard
    asked = {"gang": 2, "resources": {"cores": 5, "memory_mb": 300}, "outputs": ["sum.txt"], "centre": "alpha"}
    server.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    job_id = yard.submit(PYTHON, "-c", TALK, **asked)
    ids = [_row_of(server, f"{job_id}.1.{rank}")["id"] for rank in (0, 1)]
    server.command("scontrol", "hold", ids[0])
    server.command("scontrol", "update", "PartitionName=main", "State=UP")
    waits = yard.wait(job_id, lambda job: "1 个已就位" in job["reason"])
    assert (waits["state"], _row_of(server, f"{job_id}.1.1")["state"]) == ("starting", "RUNNING")
    assert yard.call("GET", f"/v1/jobs/{job_id}/logs", params={"rank": 1}).content == b""
    server.command("scontrol", "release", ids[0])
    job = yard.ended(job_id)
    assert job["state"] == "succeeded", job
    assert yard.call("GET", f"/v1/files/{job['outputs']['sum.txt']['sha256']}").content == b"from 1"
    logs = [yard.call("GET", f"/v1/jobs/{job_id}/logs", params={"rank": rank}).content for rank in (0, 1)]
    assert logs == [f"rank {rank} of 2 at 127.0.0.1,127.0.0.1\n".encode() for rank in (0, 1)]
    nodes = server.command("squeue", "-h", "-t", "all", "-j", ",".join(ids), "-o", "%N").split()
    assert sorted(nodes) == ["n1", "n2"]


def test_a_member_that_fails_ends_the_others_in_slurm(clusters: Clusters) -> None:
    """The other would have slept for a minute."""
    script = 'test "$RANK" = 1 && exit 7; exec sleep 60'
    job = clusters.yard.ended(clusters.centres["beta"].submit(script, gang=2), 30)
    assert (job["state"], job["exit_code"]) == ("failed", 7)
    assert "成员 1" in job["reason"]
    assert sorted(attempt["outcome"] for attempt in job["attempts"]) == ["cancelled", "failed"]
    until(lambda: _row_of(clusters.servers["beta"], f"{job['id']}.1.0")["state"], lambda state: state != "RUNNING")


def test_a_second_copy_made_by_hand_is_refused(clusters: Clusters, tmp_path: Path) -> None:
    """The same script submitted again, before and after the end of the first: it leaves without a trace."""
    server, centre, proof = clusters.servers["beta"], clusters.centres["beta"], Proof(tmp_path / "ran")
    job_id = centre.submit(proof.script("sleep 1; echo done"))
    until(proof.ran, lambda ran: ran[job_id] == 1)
    script = centre.root / "shared" / f"{job_id}.1" / "run"
    late = tmp_path / "late"
    late.write_text(script.read_text())
    made = [server.command("sbatch", "--parsable", "-J", "copy", "-o", "/dev/null", str(script)).strip()]
    assert clusters.yard.ended(job_id)["state"] == "succeeded"
    made.append(server.command("sbatch", "--parsable", "-J", "copy", "-o", "/dev/null", str(late)).strip())
    for number in made:
        until(
            lambda number=number: server.command("squeue", "-h", "-t", "all", "-j", number, "-o", "%T").strip(),
            lambda told: told == "FAILED",
        )
        assert "ExitCode=113:0" in server.command("scontrol", "show", "job", number)
    assert proof.ran() == {job_id: 1}
    assert clusters.yard.log(job_id) == "done\n"


class Elsewhere(slurm.Slurm):
    """Sends every job to a partition that Slurm does not have."""

    def submit(self, submission: Submission) -> str:
        return slurm.Slurm(self.url, self.token_file, self.user, "nowhere").submit(submission)


def test_what_slurm_will_never_take_fails_with_its_words(clusters: Clusters) -> None:
    """A certain refusal: no retry without end, and Slurm's own words as the reason."""
    centre, server = clusters.centres["alpha"], clusters.servers["alpha"]
    centre.stop()
    centre.use(lambda: Elsewhere(server.url, clusters.tokens["alpha"], "root"))
    job = clusters.yard.ended(centre.submit("true"))
    assert (job["state"], job["reason"]) == ("failed", "集群拒绝了作业：Invalid partition name specified")
    centre.stop()
    centre.use(lambda: clusters.client("alpha"))
    assert clusters.yard.ended(centre.submit("true"))["state"] == "succeeded"


def _row_of(server: Slurm, name: str) -> dict[str, str]:
    deadline = time.monotonic() + 10
    while True:
        rows = [row for row in server.jobs() if row["name"] == name]
        if rows:
            return rows[0]
        assert time.monotonic() < deadline, name
        time.sleep(0.05)
