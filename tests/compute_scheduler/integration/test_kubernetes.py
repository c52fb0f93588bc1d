"""Jobs in a real control plane of Kubernetes: what is asked for arrives, what happens is told, others are left alone.

The nodes are stand-ins that run pods as processes; etcd, API server, controllers and scheduler are the real ones.
"""

from __future__ import annotations

import copy
import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from brain_testing.servers.kubernetes import Kubernetes
from compute_scheduler.engine import kubernetes_groups
from compute_scheduler.engine.cluster import ClusterSilent, Submission, SubmissionRefused
from compute_scheduler.engine.kubernetes_jobs import job_document
from compute_scheduler.engine.kubernetes_reading import ATTEMPT

from tests.compute_scheduler.clusters import TIMES, DroppingProxy, Proof, until
from tests.compute_scheduler.kubernetes_yard import Space, space
from tests.compute_scheduler.yard import PYTHON, TALK, Yard

pytestmark = [pytest.mark.servers]
ROLES = ("relay", "consumer", "periodic", "scheduler")
KUEUE, VOLCANO = "kueue.x-k8s.io", "scheduling.volcano.sh"


@pytest.fixture
def server(kubernetes: Kubernetes) -> Kubernetes:
    """The control plane with two nodes that all tests share."""
    return kubernetes


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The running services; the centres are the tests' own."""
    made = Yard(tmp_path_factory.mktemp("yard"), log_level="ERROR", roles=ROLES)
    quota = {"cores": 64, "memory_mb": 200_000, "gpu": 8}
    made.json("PUT", f"/v1/tenants/{made.org}/quota", json={"quota": quota, "weight": 1.0})
    yield made
    made.close()


@pytest.fixture
def here(yard: Yard, server: Kubernetes, tmp_path: Path) -> Iterator[Space]:
    """A namespace and its centre."""
    with space(yard, server, tmp_path) as made:
        yield made


def test_inputs_arrive_and_outputs_and_logs_come_back(here: Space, tmp_path: Path) -> None:
    """Every job runs once; its Job bears attempt and epoch and may go only when the result is recorded."""
    yard, proof = here.yard, Proof(tmp_path / "ran")
    data = b"3\n1\n2\n"
    digest = yard.json("PUT", "/v1/files", content=data, headers={"content-type": "application/octet-stream"})["sha256"]
    spec = {"inputs": {"numbers": {"sha256": digest}}, "outputs": ["sorted"]}
    script = proof.script("sort numbers > sorted; echo sorted by $BRAIN_ATTEMPT")
    jobs = [here.centre.submit(script, **spec) for _ in range(5)]
    for job_id in jobs:
        job = yard.ended(job_id)
        assert (job["state"], job["exit_code"]) == ("succeeded", 0), job
        assert job["outputs"]["sorted"] == {"sha256": hashlib.sha256(b"1\n2\n3\n").hexdigest(), "size": 6}
        assert yard.log(job_id) == f"sorted by {job_id}.1\n"
    assert proof.ran() == dict.fromkeys(jobs, 1)
    until(here.items, lambda items: all(item["spec"].get("ttlSecondsAfterFinished") == 3600 for item in items))
    (made,) = here.of(jobs[0])
    assert made["metadata"]["annotations"] == made["metadata"]["annotations"] | {
        "compute.industry-brain/job": jobs[0],
        "compute.industry-brain/epoch": "1",
    }


def test_what_a_job_asks_for_is_what_kubernetes_reserves(here: Space) -> None:
    """Cores, memory of 10^6 bytes, cards by the resource that the operator named; own folder only; no credentials."""
    asked = {"cores": 2.5, "memory_mb": 1000, "accelerators": {"gpu": 1}}
    job_id = here.centre.submit("sleep 30", resources=asked, time_limit_s=90)
    here.yard.wait(job_id, lambda job: job["state"] == "running")
    (pod,) = here.items("pods")
    container, spec = pod["spec"]["containers"][0], pod["spec"]
    amounts = {"cpu": "2500m", "memory": "1G", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"limits": amounts, "requests": amounts}
    assert [mount.get("subPath") for mount in container["volumeMounts"]] == [f"{job_id}.1", "desk"]
    assert spec["automountServiceAccountToken"] is False
    assert (here.of(job_id)[0]["spec"]["backoffLimit"], "ttlSecondsAfterFinished" in here.of(job_id)[0]["spec"]) == (
        0,
        False,
    )
    here.yard.json("POST", f"/v1/jobs/{job_id}/cancel")
    assert here.yard.ended(job_id)["reason"] == "已按要求取消"
    until(lambda: (here.of(job_id), here.items("pods")), lambda seen: seen == ([], []))


@pytest.mark.parametrize(
    ("script", "limit_s", "reason", "code"),
    [
        ("exit 3", 60, "命令以退出码 3 结束", 3),
        ("kill -9 $$", 60, "命令被信号 9 结束", None),
        ("trap '' TERM; sleep 60; sleep 60", 1, "超过时限 1 秒，已停止", None),
    ],
)
def test_the_end_of_a_command_is_told_as_it_was(
    here: Space, script: str, limit_s: int, reason: str, code: int | None
) -> None:
    """Exit code, signal, and the time limit to the second."""
    job = here.yard.ended(here.centre.submit(script, time_limit_s=limit_s))
    assert (job["state"], job["reason"], job["exit_code"]) == ("failed", reason, code)


def test_a_log_is_read_while_the_job_runs(here: Space) -> None:
    """What was printed is there before the end, also in Chinese."""
    job_id = here.centre.submit("echo 第一行; sleep 3; echo 第二行")
    assert until(lambda: here.yard.log(job_id), bool) == "第一行\n"
    assert here.yard.job(job_id)["state"] == "running"
    assert here.yard.ended(job_id)["state"] == "succeeded"
    assert here.yard.log(job_id) == "第一行\n第二行\n"


def test_a_repeated_request_makes_no_second_job_and_a_stranger_with_the_name_is_not_taken(
    here: Space, tmp_path: Path
) -> None:
    """Twice asked: the same uid. A Job of that name without our labels is refused, and left as it is."""
    client, mark = here.client(), (here.centre.root / "agent" / "mark").read_text()
    (tmp_path / "shared/x").mkdir(parents=True, exist_ok=True)
    run = tmp_path / "shared/x/run"
    run.write_text("sleep 30\n")
    ours = Submission("job_00000000000000000000000001.1", mark, run, run, 1, 100, {}, 60)
    here.centre.stop()  # else it would end what it does not hold
    first = client.submit(ours)
    assert client.submit(ours) == first
    assert [item["metadata"]["uid"] for item in here.items()] == [first]
    foreign = copy.deepcopy(here.items()[0])
    foreign["metadata"] = {"name": "job-00000000000000000000000002-1"}
    del foreign["spec"]["selector"], foreign["status"]
    foreign["spec"]["template"]["metadata"] = {}
    made = here.server.call("POST", here.path(), foreign)
    theirs = Submission("job_00000000000000000000000002.1", mark, run, run, 1, 100, {}, 60)
    with pytest.raises(SubmissionRefused, match="同名"):
        client.submit(theirs)
    kept = here.server.call("GET", here.path(name="job-00000000000000000000000002-1"))
    assert kept["metadata"]["uid"] == made["metadata"]["uid"]
    with pytest.raises(SubmissionRefused, match="加速器 tpu"):
        client.submit(Submission("job_00000000000000000000000003.1", mark, run, run, 1, 100, {"tpu": 1}, 60))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kueue_queue": "team"},
        {"scheduler": "volcano", "volcano_queue": "team"},
        {"claim": "share", "service_account": "runner"},
    ],
)
def test_what_operators_may_ask_for_is_valid_to_the_letter(here: Space, options: dict[str, Any]) -> None:
    """The API server checks every field of the Job and of its pods strictly, and makes nothing."""
    submission = Submission("job_00000000000000000000000004.1", "m", Path("/s/a/run"), Path("/s/a/log"), 1, 100, {}, 60)
    document = job_document(submission, replace(here.options, **options))
    made = here.server.call("POST", f"{here.path()}?dryRun=All&fieldValidation=Strict", document)
    pod = made["spec"]["template"]
    assert pod["spec"]["schedulerName"] == options.get("scheduler", "default-scheduler")
    queue = options.get("volcano_queue")
    assert (pod["metadata"].get("annotations") or {}).get("scheduling.volcano.sh/queue-name") == queue


def test_a_submission_whose_answer_is_lost_is_found_and_not_repeated(here: Space, tmp_path: Path) -> None:
    """Kubernetes has made each Job, the agent never hears it: one Job of each, each runs once."""
    proof = Proof(tmp_path / "ran")
    here.centre.stop()
    with DroppingProxy(here.server.url, here.server.ca_file) as proxy:
        proxy.dropped = "/jobs"
        here.centre.use(lambda: here.client(proxy.url))
        jobs = [here.centre.submit(proof.script()) for _ in range(3)]
        for job_id in jobs:
            assert here.yard.ended(job_id)["state"] == "succeeded"
        assert proxy.drops == 3
        here.centre.stop()
    assert proof.ran() == dict.fromkeys(jobs, 1)
    assert [len(here.of(job_id)) for job_id in jobs] == [1, 1, 1]


def test_a_list_that_expires_between_its_pages_is_read_again(here: Space) -> None:
    """etcd forgets the revision of the first page: the API server answers 410, and the list is whole all the same."""
    server, expired = here.server, []
    for number in range(3):
        server.call("POST", here.path("configmaps"), {"metadata": {"name": f"c{number}"}})
    names = {item["metadata"]["name"] for item in here.items("configmaps")}

    def forget(path: str) -> None:
        if "continue=" in path and not expired:
            expired.append(path)
            server.call("POST", here.path("configmaps"), {"metadata": {"name": "later"}})
            server.compact()

    with DroppingProxy(server.url, server.ca_file) as proxy:
        proxy.before = forget
        client = here.client(proxy.url, page=1)
        here.token.write_text(server.tokens["admin"])
        found = client._list(here.path("configmaps"))
    assert {item["metadata"]["name"] for item in found} == names | {"later"}
    assert expired


def test_a_killed_api_server_or_a_refused_token_costs_time_and_no_job(here: Space, tmp_path: Path) -> None:
    """The centre says so and has no capacity; nothing fails; what ran meanwhile has ended well."""
    yard, centre, proof = here.yard, here.centre, Proof(tmp_path / "ran")
    running = centre.submit(proof.script("sleep 2"))
    yard.wait(running, lambda job: job["state"] == "running")
    here.server.kill_api()
    try:
        shown = centre.wait(lambda seen: seen["state"] == "down")
        assert "没有应答" in shown["capabilities"]["health"]["detail"]
        waiting = centre.submit(proof.script())
        assert yard.ended(running)["state"] == "succeeded"
        assert yard.wait(waiting, lambda job: job["reason_code"] == "nodes_closed")["state"] == "queued"
    finally:
        here.server.start_api()
    assert yard.ended(waiting)["state"] == "succeeded"
    good = here.token.read_text()
    here.token.write_text("nonsense")
    shown = centre.wait(lambda seen: seen["state"] == "down")
    assert shown["capabilities"]["health"]["detail"] == "Kubernetes API 拒绝了令牌（HTTP 401），请更换令牌文件"
    here.token.write_text(good)
    assert yard.ended(centre.submit(proof.script()))["state"] == "succeeded"
    assert sorted(proof.ran().values()) == [1, 1, 1]


def test_jobs_of_others_are_left_alone_and_orphans_are_ended_and_told(here: Space, tmp_path: Path) -> None:
    """A stranger runs on; a Job with our mark whose attempt nobody holds is ended and reported."""
    server, centre = here.server, here.centre
    (tmp_path / "shared/x").mkdir(parents=True, exist_ok=True)
    run = tmp_path / "shared/x/run"
    run.write_text("sleep 60\n")
    stranger = _plain_job("stranger", ["sleep", "60"])
    server.call("POST", here.path(), stranger)
    centre.wait(lambda seen: seen["capabilities"].get("health", {}).get("foreign_jobs") == 1)
    shown = centre.wait(lambda seen: any(node["load"].get("foreign_cores") == 1 for node in seen["nodes"]))
    assert sum(node["load"].get("foreign_memory_mb", 0) for node in shown["nodes"]) == 500
    orphan = "job_00000000000000000000000009.1"
    here.client().submit(Submission(orphan, (centre.root / "agent" / "mark").read_text(), run, run, 1, 100, {}, 60))
    shown = centre.wait(lambda seen: bool(seen["capabilities"]["health"]["orphans"]))
    assert [line.split()[0] for line in shown["capabilities"]["health"]["orphans"]] == [orphan]
    left = until(here.items, lambda items: len(items) == 1)
    assert (left[0]["metadata"]["name"], left[0]["status"].get("active")) == ("stranger", 1)
    server.call("DELETE", here.path(name="stranger"), {"propagationPolicy": "Background"})


def test_a_purged_record_is_not_missed_where_a_marker_lies(here: Space, tmp_path: Path) -> None:
    """The agent is away while Jobs end and are removed: the marker decides; without one the attempt is lost."""
    yard, centre, server = here.yard, here.centre, here.server
    well = centre.submit("sleep 2; echo out > out", outputs=["out"])
    dead = centre.submit("sleep 60")
    for job_id in (well, dead):
        yard.wait(job_id, lambda job: job["state"] == "running")
    centre.stop()
    until(lambda: (centre.root / f"shared/{well}.1/exit.json").exists(), bool)
    for pid in [pid for node in server.nodes.values() for pid in node.processes()]:
        if f"{dead}.1" in Path(f"/proc/{pid}/cmdline").read_text():
            os.killpg(pid, signal.SIGKILL)
    for job_id in (well, dead):
        (item,) = here.of(job_id)
        server.call("DELETE", here.path(name=item["metadata"]["name"]), {"propagationPolicy": "Background"})
    centre.start()
    assert yard.ended(well)["outputs"]["out"]["size"] == 4
    job = yard.ended(dead)
    assert (job["state"], job["attempts"][-1]["outcome"]) == ("failed", "lost")
    assert job["reason"] == "集群没有这次运行的记录，也没有它的结果标记；运行结果未知"


def test_a_refused_quota_is_the_reason_that_is_shown(here: Space) -> None:
    """The Job controller may not make the pod: its event is told, and the job runs once there is room."""
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"requests.memory": "100M"}}}
    here.server.call("POST", here.path("resourcequotas"), quota)
    until(
        lambda: here.server.call("GET", here.path("resourcequotas", "q")),
        lambda seen: seen.get("status", {}).get("hard") is not None,
    )
    job_id = here.centre.submit("true")
    waits = here.yard.wait(job_id, lambda job: "exceeded quota" in job["reason"])
    assert (waits["state"], waits["reason_code"]) == ("starting", "engine_queue")
    here.server.call("DELETE", here.path("resourcequotas", "q"))
    assert here.yard.ended(job_id)["state"] == "succeeded"


def test_a_job_that_somebody_removes_in_kubernetes_says_so(here: Space) -> None:
    """Not by us, so not `cancelled`: it failed, and may be retried."""
    job_id = here.centre.submit("sleep 60")
    here.yard.wait(job_id, lambda job: job["state"] == "running")
    (item,) = here.of(job_id)
    here.server.call("DELETE", here.path(name=item["metadata"]["name"]), {"propagationPolicy": "Foreground"})
    job = here.yard.ended(job_id)
    assert (job["state"], job["reason"]) == ("failed", "作业在集群一侧被取消，不是经本平台")


def test_kueue_holds_admits_and_takes_back_by_its_contract(yard: Yard, server: Kubernetes, tmp_path: Path) -> None:
    """Kueue itself is emulated: Workloads with its conditions, `suspend` as it sets it, by the test in its place."""
    _define(server, KUEUE, "workloads", "Workload")
    # A copy that was ended waits for six beats to hear from the cluster why.
    with space(yard, server, tmp_path, replace(TIMES, beat_s=1.0), kueue_queue="team") as here:
        job_id = here.centre.submit("echo began; sleep 60")
        (item,) = until(lambda: here.of(job_id), lambda items: len(items) == 1)
        assert item["spec"]["suspend"] is True
        assert item["metadata"]["labels"][f"{KUEUE}/queue-name"] == "team"
        workload = _workload(here, item, {"QuotaReserved": ("False", "insufficient quota for cpu in flavor main")})
        waits = yard.wait(job_id, lambda job: "insufficient quota" in job["reason"])
        assert (waits["state"], waits["reason_code"]) == ("starting", "engine_queue")
        path, merge = here.path(name=item["metadata"]["name"]), "application/merge-patch+json"
        server.call("PATCH", path, {"spec": {"suspend": False}}, merge)
        yard.wait(job_id, lambda job: job["state"] == "running")
        evicted = {"type": "Evicted", "status": "True", "reason": "Preempted", "message": "for a higher priority"}
        evicted["lastTransitionTime"] = "2026-11-30T00:00:00Z"
        server.call("PATCH", workload, {"status": {"conditions": [evicted]}}, merge)
        server.call("PATCH", path, {"spec": {"suspend": True}}, merge)
        job = yard.ended(job_id)
        assert (job["state"], job["attempts"][-1]["outcome"]) == ("failed", "lost"), job
        assert job["reason"].startswith("被集群的其他作业抢占")
        until(lambda: here.of(job_id), lambda items: items == [])


def test_a_lost_node_is_unknown_until_kubernetes_gives_it_up(yard: Yard, server: Kubernetes, tmp_path: Path) -> None:
    """Its copy beats on, so nothing is decided; when it is silent too the attempt is lost and the job runs again."""
    proof = Proof(tmp_path / "ran")
    with space(yard, server, tmp_path) as here:
        job_id = here.centre.submit(
            f"echo $BRAIN_ATTEMPT >> {proof.path}; [ $BRAIN_ATTEMPT = $BRAIN_JOB.2 ] || sleep 90", retries=1
        )
        yard.wait(job_id, lambda job: job["state"] == "running")
        (pod,) = here.items("pods")
        node = server.nodes[pod["spec"]["nodeName"]]
        node.lose()
        try:
            pods = until(
                lambda: here.items("pods"),
                lambda seen: any(item["metadata"].get("deletionTimestamp") for item in seen),
                40,
            )
            assert pods[0]["status"]["phase"] == "Running"
            assert yard.job(job_id)["state"] == "running"
            for pid in node.processes():
                os.killpg(pid, signal.SIGKILL)
            job = yard.ended(job_id, 40)
        finally:
            node.find()
        assert (job["state"], job["attempt"]) == ("succeeded", 2), job
        first = next(attempt for attempt in job["attempts"] if attempt["epoch"] == 1)
        assert first["outcome"] == "lost"
        assert "失联" in first["reason"]
        assert proof.ran() == {f"{job_id}.1": 1, f"{job_id}.2": 1}


def test_a_gang_runs_at_once_over_both_nodes_or_not_at_all(here: Space) -> None:
    """A quota lets one pod in: that member waits; without the quota they find each other by their pods' addresses."""
    yard, quotas = here.yard, here.path("resourcequotas")
    here.centre.wait(lambda seen: [node["state"] for node in seen["nodes"]] == ["up", "up"])
    here.server.call("POST", quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "5"}}})
    quota = here.path("resourcequotas", "q")
    until(lambda: here.server.call("GET", quota), lambda seen: seen.get("status", {}).get("hard") is not None)
    asked = {"gang": 2, "resources": {"cores": 5, "memory_mb": 300}, "outputs": ["sum.txt"]}
    job_id = yard.submit(PYTHON, "-c", TALK, centre=here.centre.name, **asked)
    waits = yard.wait(job_id, lambda job: "1 个已就位" in job["reason"])
    assert (waits["state"], len(here.items("pods")), waits["attempts"][0]["log_bytes"]) == ("starting", 1, 0)
    here.server.call("DELETE", quota)
    job = yard.ended(job_id)
    assert job["state"] == "succeeded", job
    assert yard.call("GET", f"/v1/files/{job['outputs']['sum.txt']['sha256']}").content == b"from 1"
    pods = {item["metadata"]["labels"][ATTEMPT]: item for item in here.items("pods")}
    members = [pods[f"{job_id}.1.{rank}"] for rank in (0, 1)]
    places = ",".join(pod["status"]["podIP"] for pod in members)
    logs = [yard.call("GET", f"/v1/jobs/{job_id}/logs", params={"rank": rank}).content for rank in (0, 1)]
    assert logs == [f"rank {rank} of 2 at {places}\n".encode() for rank in (0, 1)]
    assert len({pod["spec"]["nodeName"] for pod in members}) == len({pod["status"]["podIP"] for pod in members}) == 2


def test_a_gang_is_one_group_of_volcano_and_waits_for_the_whole_of_it(
    yard: Yard, server: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volcano itself is emulated: the test places the pods of a group once as many are there as the group says."""
    monkeypatch.setattr(kubernetes_groups, "UNUSED_S", 0.5)
    with space(yard, server, tmp_path, scheduler="volcano", volcano_queue="team") as here:
        job_id = here.centre.submit("echo $RANK of $WORLD_SIZE", gang=2)
        yard.wait(job_id, lambda job: "PodGroup" in job["reason"])  # Volcano is not installed
        assert here.items() == []
        _define(server, VOLCANO, "podgroups", "PodGroup")
        groups = f"/apis/{VOLCANO}/v1beta1/namespaces/{here.name}/podgroups"
        (group,) = until(lambda: server.call("GET", groups)["items"], bool, 60)
        assert group["spec"] == {"minMember": 2, "queue": "team"}
        pods = until(lambda: here.items("pods"), lambda seen: len(seen) == 2, 60)
        named = {pod["metadata"]["annotations"]["scheduling.k8s.io/group-name"] for pod in pods}
        assert named == {group["metadata"]["name"]}
        for pod in pods:
            target = {"target": {"kind": "Node", "name": next(iter(server.nodes))}}
            place = here.path("pods", f"{pod['metadata']['name']}/binding")
            server.call("POST", place, {"metadata": {"name": pod["metadata"]["name"]}} | target)
        assert yard.ended(job_id)["state"] == "succeeded"
        until(lambda: server.call("GET", groups)["items"], lambda seen: seen == [])


def test_a_member_that_fails_ends_the_others_in_kubernetes(here: Space) -> None:
    """The other would have slept for a minute; its pod goes."""
    job = here.yard.ended(here.centre.submit('test "$RANK" = 1 && exit 7; exec sleep 60', gang=2), 30)
    assert (job["state"], job["exit_code"]) == ("failed", 7)
    assert "成员 1" in job["reason"]
    assert sorted(attempt["outcome"] for attempt in job["attempts"]) == ["cancelled", "failed"]
    until(lambda: [item for item in here.items("pods") if item["status"]["phase"] == "Running"], lambda seen: not seen)


def test_an_unreachable_cluster_says_what_is_wrong(here: Space) -> None:
    """A certificate that nobody trusts, a missing right, a namespace that is not there."""
    from compute_scheduler.engine.kubernetes import Kubernetes as Client

    with pytest.raises(ClusterSilent, match="证书不受信任"):
        Client(here.server.url, here.token, here.options).look("c")
    (here.server.call("DELETE", f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/brain-agent-{here.name}"))
    until(lambda: _said(here), lambda words: "cannot list resource" in words)


def _said(here: Space) -> str:
    try:
        here.client().look("c")
    except ClusterSilent as silent:
        return str(silent)
    return ""


def _plain_job(name: str, command: list[str]) -> dict[str, Any]:
    amounts = {"cpu": "1", "memory": "500M"}
    container = {"name": "c", "image": "x.example/y:1", "command": command, "resources": {"requests": amounts}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"template": template}}


def _define(server: Kubernetes, group: str, plural: str, kind: str) -> None:
    """A resource whose objects may have any field, in place of its operator's own definition."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    note = {"api-approved.kubernetes.io": "unapproved, for a test"}
    server.call("POST", crds, {"metadata": {"name": f"{plural}.{group}", "annotations": note}, "spec": spec})

    def is_served() -> bool:
        try:
            server.call("GET", f"/apis/{group}/v1beta1/{plural}")
        except RuntimeError:
            return False
        return True

    until(is_served, bool)


def _workload(here: Space, job: dict[str, Any], conditions: dict[str, tuple[str, str]]) -> str:
    base = f"/apis/{KUEUE}/v1beta1/namespaces/{here.name}/workloads"
    labels = {f"{KUEUE}/job-uid": job["metadata"]["uid"]}
    told = [
        {
            "type": kind,
            "status": status,
            "reason": "Pending",
            "message": words,
            "lastTransitionTime": "2026-11-30T00:00:00Z",
        }
        for kind, (status, words) in conditions.items()
    ]
    document = {"apiVersion": f"{KUEUE}/v1beta1", "kind": "Workload", "metadata": {"name": "w", "labels": labels}}
    here.server.call("POST", base, document | {"status": {"conditions": told}})
    return f"{base}/w"
