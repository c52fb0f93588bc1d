"""What the API server of Kubernetes says, as the engine reads it, and what it is sent."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compute_scheduler.engine.cluster import Submission
from compute_scheduler.engine.kubernetes_groups import group_document
from compute_scheduler.engine.kubernetes_jobs import JobOptions, UnknownKind, job_document
from compute_scheduler.engine.kubernetes_reading import (
    admissions,
    asked_by,
    cards_of,
    copy_of,
    has_mark,
    name_of,
    node_of,
    quantity,
    shortened,
    takes_pods,
)
from hypothesis import given
from hypothesis import strategies as st

ATTEMPT = "job_00000000000000000000000001.1"
NAME = "job-00000000000000000000000001-1"
ASKED = Submission(ATTEMPT, "c1-1.5", Path("/shared") / ATTEMPT / "run", Path("/log"), 1.5, 1000, {"gpu": 2}, 60)
OPTIONS = JobOptions("jobs", "debian:12")


def job(*conditions: tuple[str, str], **spec: Any) -> dict[str, Any]:
    """A Job of ours with conditions that are true: (type, reason)."""
    labels = {"compute.industry-brain/centre": "c1-1.5", "compute.industry-brain/attempt": ATTEMPT}
    told = [{"type": kind, "status": "True", "reason": reason, "message": ""} for kind, reason in conditions]
    return {
        "metadata": {"name": NAME, "uid": "u1", "labels": labels},
        "spec": spec,
        "status": {"conditions": told},
    }


def pod(phase: str, node: str = "k1", **status: Any) -> dict[str, Any]:
    """A pod of that Job."""
    return {"metadata": {}, "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase} | status}


def disrupted(reason: str) -> dict[str, Any]:
    """The status of a pod that the cluster has ended."""
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


@pytest.mark.parametrize(
    ("text", "amount"),
    [("500m", 0.5), ("8", 8), ("16Gi", 17179869184), ("1G", 1e9), ("1e3", 1000), ("0.5", 0.5), ("1Ki", 1024)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, amount: float) -> None:
    """The forms of the reference of resource quantities."""
    assert quantity(text) == pytest.approx(amount)


@pytest.mark.parametrize("text", ["", "x", "1Q", "1 Gi", None])
def test_what_is_no_quantity_is_refused(text: Any) -> None:
    """Not taken for 0."""
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("conditions", "phase"),
    [
        ((), "waiting"),
        ((("SuccessCriteriaMet", "CompletionsReached"),), "waiting"),
        ((("FailureTarget", "BackoffLimitExceeded"),), "waiting"),
        ((("SuccessCriteriaMet", "x"), ("Complete", "CompletionsReached")), "ended"),
        ((("FailureTarget", "x"), ("Failed", "BackoffLimitExceeded")), "ended"),
    ],
)
def test_only_complete_and_failed_are_final(conditions: tuple[tuple[str, str], ...], phase: str) -> None:
    """The two conditions that come a second before decide nothing."""
    copy = copy_of(job(*conditions), [], set(), "")
    assert copy is not None
    assert (copy.phase, copy.remote, copy.attempt) == (phase, "u1", ATTEMPT)


@pytest.mark.parametrize(
    ("status", "cause", "code"),
    [
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 7, "reason": "Error"}}}]}, "exit", 7),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}, "memory", 137),
        ({"reason": "DeadlineExceeded"}, "time_limit", None),
        (disrupted("PreemptionByScheduler"), "preempted", None),
        (disrupted("DeletionByTaintManager"), "node_failed", None),
        (disrupted("TerminationByKubelet"), "engine_cancelled", None),
    ],
)
def test_a_failed_job_has_the_cause_of_its_pod(status: dict[str, Any], cause: str, code: int | None) -> None:
    """The Job says BackoffLimitExceeded for all of them."""
    copy = copy_of(job(("Failed", "BackoffLimitExceeded")), [pod("Failed", **status)], set(), "")
    assert copy is not None
    assert (copy.cause, copy.code, copy.is_kept) == (cause, code, True)


def test_an_evicted_pod_is_given_up_only_on_a_node_that_is_not_heard() -> None:
    """On a node that answers the kubelet will say how it ended."""
    evicted = disrupted("DeletionByTaintManager")
    phases = [
        copy and (copy.phase, copy.cause)
        for copy in (copy_of(job(), [pod("Running", **evicted)], unready, "") for unready in (set(), {"k1"}))
    ]
    assert phases == [("running", ""), ("ended", "node_failed")]


def test_a_job_with_another_name_or_mark_is_somebody_elses() -> None:
    """Labels alone are not enough, nor is the name."""
    other = job()
    other["metadata"]["name"] = "other"
    assert copy_of(other, [], set(), "") is None
    assert has_mark(job(), "c1-1.5")
    assert not has_mark(job(), "c1-1.6")
    assert not has_mark(job(), "")
    assert not has_mark({"metadata": {}}, "c1-1.5")


def test_a_released_job_is_not_released_again() -> None:
    """`ttlSecondsAfterFinished` says that the result is recorded."""
    copies = [copy_of(job(("Complete", ""), **spec), [], set(), "") for spec in ({}, {"ttlSecondsAfterFinished": 0})]
    assert [copy and copy.is_kept for copy in copies] == [True, False]


def test_a_node_is_told_whole_with_what_others_hold_beside_it() -> None:
    """16,000 MiB are 16,777 MB; others hold 1.5 cores, 512 MiB and one card."""
    node = {
        "metadata": {"name": "k1"},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "8", "memory": "16000Mi", "nvidia.com/gpu": "2"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    requests = {"cpu": "1500m", "memory": "512Mi", "nvidia.com/gpu": "1", "other/thing": "3"}
    held = asked_by({"spec": {"containers": [{"resources": {"requests": requests}}, {}]}}, OPTIONS.kinds)
    assert node_of(node, held, OPTIONS.kinds) == {
        "name": "k1",
        "cores": 8.0,
        "memory_mb": 16777,
        "accelerators": {"gpu": 2},
        "load": {"foreign_cores": 1.5, "foreign_memory_mb": 536.0, "foreign_gpu": 1.0},
    }
    assert takes_pods(node)
    for change in ({"unschedulable": True}, {"taints": [{"key": "k", "effect": "NoSchedule"}]}):
        assert not takes_pods(node | {"spec": change})
    assert takes_pods(node | {"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}})


def test_kinds_that_share_a_resource_are_told_apart_by_a_label() -> None:
    """A node has the kind whose label it carries, a pod goes to such a node; part of a card is refused in words."""
    kinds = {"A100": "nvidia.com/gpu@gpu.product=A100", "V100": "nvidia.com/gpu@gpu.product=V100", "npu": "h/npu"}
    node = {"metadata": {"name": "k", "labels": {"gpu.product": "V100"}}}
    assert cards_of(node, kinds) == {"V100": "nvidia.com/gpu", "npu": "h/npu"}
    document = job_document(replace(ASKED, accelerators={"A100": 1}), JobOptions("jobs", "debian:12", kinds=kinds))
    asked = document["spec"]["template"]["spec"]
    assert asked["nodeSelector"] == {"gpu.product": "A100"}
    assert asked["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nodeSelector" not in job_document(ASKED, OPTIONS)["spec"]["template"]["spec"]
    with pytest.raises(UnknownKind, match="整块"):
        job_document(replace(ASKED, accelerators={"gpu": 0.5}), OPTIONS)


def test_a_job_is_written_with_its_limits_and_never_retried_by_kubernetes() -> None:
    """One pod, no second try, cores in thousandths, memory of 10^6 bytes, no removal before the result is recorded."""
    document = job_document(ASKED, OPTIONS)
    spec = document["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert document["metadata"]["name"] == NAME
    assert (spec["backoffLimit"], spec["parallelism"], spec["template"]["spec"]["restartPolicy"]) == (0, 1, "Never")
    assert container["resources"]["limits"] == {"cpu": "1500m", "memory": "1000M", "nvidia.com/gpu": "2"}
    assert container["command"] == ["/bin/bash", f"/shared/{ATTEMPT}/run"]
    assert {"suspend", "ttlSecondsAfterFinished", "activeDeadlineSeconds"}.isdisjoint(spec)
    assert spec["template"]["spec"]["activeDeadlineSeconds"] > 60
    assert spec["template"]["spec"]["volumes"][0]["hostPath"]["path"] == "/shared"


def test_members_of_a_gang_name_their_group_for_volcano_alone() -> None:
    """Job and epoch, the same for each member; other schedulers and single jobs get none."""
    member = replace(ASKED, attempt="job_00000000000000000000000001.2.1", members=3)
    volcano = JobOptions("jobs", "i:1", scheduler="volcano", volcano_queue="q")

    def notes(submission: Submission, options: JobOptions) -> dict[str, str]:
        found: dict[str, str] = job_document(submission, options)["spec"]["template"]["metadata"]["annotations"]
        return found

    group = "job-00000000000000000000000001-2"
    assert notes(member, volcano) == {"scheduling.volcano.sh/queue-name": "q", "scheduling.k8s.io/group-name": group}
    assert notes(member, replace(volcano, scheduler="other", volcano_queue="")) == {}
    assert "scheduling.k8s.io/group-name" not in notes(ASKED, volcano)
    made = group_document(member, "jobs", "q")
    assert (made["metadata"]["name"], made["spec"]) == (group, {"minMember": 3, "queue": "q"})
    assert group_document(replace(member, attempt=member.attempt[:-1] + "0"), "jobs", "q") == made


def test_options_of_kueue_and_volcano_are_passed_on() -> None:
    """The label on the Job, made suspended; the scheduler and the queue on the pod; a claim instead of a host path."""
    options = JobOptions(
        "jobs", "i:1", "runner", "share", {"gpu": "amd.com/gpu"}, "team", scheduler="volcano", volcano_queue="q"
    )
    document = job_document(ASKED, options)
    template = document["spec"]["template"]
    assert document["spec"]["suspend"] is True
    assert document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert template["metadata"]["annotations"] == {"scheduling.volcano.sh/queue-name": "q"}
    assert (template["spec"]["schedulerName"], template["spec"]["serviceAccountName"]) == ("volcano", "runner")
    assert template["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "share"}
    assert template["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "2"
    with pytest.raises(UnknownKind, match="加速器 gpu"):
        job_document(ASKED, JobOptions("jobs", "i:1", kinds={}))


def test_kueue_tells_why_it_holds_a_job_back() -> None:
    """By the label with the Job's uid, or by the owner."""
    waits = {"type": "QuotaReserved", "status": "False", "message": "no quota"}
    by_label = {"metadata": {"labels": {"kueue.x-k8s.io/job-uid": "u1"}}, "status": {"conditions": [waits]}}
    by_owner = {"metadata": {"ownerReferences": [{"kind": "Job", "uid": "u2"}]}}
    assert admissions([by_label, by_owner]) == {"u1": "Kueue：no quota", "u2": "Kueue：排队中"}


@given(st.text("abcXYZ019-", min_size=1, max_size=40), st.integers(0, 2**40))
def test_a_mark_is_always_a_value_of_a_label(centre: str, at: int) -> None:
    """At most 63 of [A-Za-z0-9._-], with a letter or digit at both ends."""
    mark = f"c{centre}-{at / 7:.6f}"
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", shortened(mark))


def test_long_marks_stay_different() -> None:
    """Those that differ only behind the cut."""
    assert shortened("c" * 90 + "1") != shortened("c" * 90 + "2")
    assert name_of(ATTEMPT) == NAME
