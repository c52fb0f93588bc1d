"""What the objects of Kubernetes say of attempts and nodes: pure, from documents as the API server gives them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compute_scheduler.engine.cluster import Copy

Json = dict[str, Any]
_OWN = "compute.industry-brain"
MARK, ATTEMPT = f"{_OWN}/centre", f"{_OWN}/attempt"
JOB, EPOCH = f"{_OWN}/job", f"{_OWN}/epoch"
# Causes of Jobs that are over for us and would stay in Kubernetes as unfinished.
STANDING = frozenset({"node_failed", "preempted"})
EVICTED = "\0evicted "
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_SCALES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_SCALES |= {f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGTPE")}
_DISRUPTIONS = {
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "node_failed",
    "DeletionByPodGC": "node_failed",
    "EvictionByEvictionAPI": "engine_cancelled",
    "TerminationByKubelet": "engine_cancelled",
}


def quantity(text: Any) -> float:
    """A quantity of Kubernetes such as `500m` or `16Gi`. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _SCALES[found[2] or ""]


def card(text: str) -> tuple[str, dict[str, str]]:
    """Resource and labels of nodes of a kind of accelerator, from `RESOURCE` or `RESOURCE@LABEL=VALUE`."""
    resource, _, label = text.partition("@")
    name, _, value = label.partition("=")
    return resource, {name: value} if name else {}


def cards_of(node: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, str]:
    """The kinds of accelerators whose labels a node has, with their resource."""
    labels = (node["metadata"].get("labels") or {}).items()
    known = {kind: card(text) for kind, text in kinds.items()}
    return {kind: resource for kind, (resource, wanted) in known.items() if wanted.items() <= labels}


def name_of(attempt: str) -> str:
    """A Job's name, always the same for an attempt, so that a repeated request makes no second one."""
    return attempt.lower().replace("_", "-").replace(".", "-")


def shortened(text: str) -> str:
    """A text as the value of a label: of one longer than 63 characters its beginning and what tells it from others."""
    return text if len(text) <= 63 else f"{text[:46]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def said(answer: Mapping[str, Any]) -> str:
    """The reason that the API server gives with a refusal."""
    return str(answer.get("message") or "没有说明原因")[:250]


def has_mark(thing: Mapping[str, Any], mark: str) -> bool:
    """Whether a Job or pod carries the mark of the centre."""
    return bool(mark) and (thing["metadata"].get("labels") or {}).get(MARK) == shortened(mark)


def attempt_of(job: Mapping[str, Any]) -> str:
    """The attempt that a Job says it is."""
    return str((job["metadata"].get("labels") or {}).get(ATTEMPT, ""))


def condition(thing: Mapping[str, Any], kind: str) -> Json | None:
    """A condition of a thing that is true, None when it is not."""
    for item in thing.get("status", {}).get("conditions") or ():
        if item["type"] == kind and item["status"] == "True":
            found: Json = item
            return found
    return None


def is_over(job: Mapping[str, Any]) -> bool:
    """Whether it has a final condition."""
    return condition(job, "Complete") is not None or has_failed(job)


def has_failed(job: Mapping[str, Any]) -> bool:
    """Whether it has failed, finally."""
    return condition(job, "Failed") is not None


def is_released(job: Mapping[str, Any]) -> bool:
    """Whether Kubernetes may remove it by itself."""
    return job["spec"].get("ttlSecondsAfterFinished") is not None


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the node's kubelet is heard."""
    return condition(node, "Ready") is not None


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Whether new pods of ours would be put there."""
    taints = node["spec"].get("taints") or ()
    return (
        is_ready(node)
        and not node["spec"].get("unschedulable")
        and not any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)
    )


def by_job(pods: Iterable[Json]) -> dict[str, list[Json]]:
    """Pods by the uid of the Job that controls them."""
    found: dict[str, list[Json]] = {}
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] == "Job" and owner.get("controller"):
                found.setdefault(owner["uid"], []).append(pod)
    return found


def owners(pods: Iterable[Mapping[str, Any]]) -> set[str]:
    """The uids of Jobs that control pods; pods of other kinds are services and no jobs."""
    return {
        owner["uid"] for pod in pods for owner in pod["metadata"].get("ownerReferences") or () if owner["kind"] == "Job"
    }


def copy_of(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], unready: set[str], said: str) -> Copy | None:
    """A Job with our mark as a copy; None when its name is not its attempt's: then it is somebody else's.

    pods: its own. unready: nodes that are not heard. said: what Kubernetes or Kueue says of a Job without a pod.
    """
    attempt, uid = attempt_of(job), str(job["metadata"]["uid"])
    if not attempt or job["metadata"]["name"] != name_of(attempt):
        return None
    is_kept = not is_released(job)
    if condition(job, "Complete") is not None:
        return Copy(attempt, uid, "ended", "exit", 0, "Kubernetes：Complete", is_kept)
    failed = condition(job, "Failed")
    if failed is not None:
        cause, code, words = _failure(failed, pods)
        return Copy(attempt, uid, "ended", cause, code, words, is_kept)
    if job["spec"].get("suspend"):
        if said.startswith(EVICTED):
            return Copy(attempt, uid, "ended", "preempted", None, said.removeprefix(EVICTED), True)
        return Copy(attempt, uid, "waiting", words=f"在集群中暂停，等待放行：{said or 'suspended'}")
    lost = [pod for pod in pods if _is_lost(pod, unready)]
    if lost:
        node = lost[0]["spec"]["nodeName"]
        return Copy(attempt, uid, "ended", "node_failed", None, f"Kubernetes：节点 {node} 失联，Pod 已被驱逐", True)
    running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
    if running:
        node = running[0]["spec"].get("nodeName", "")
        return Copy(
            attempt, uid, "running", words=f"Kubernetes 作业 {job['metadata']['name']} 已在 {node} 启动，等待认领"
        )
    words = _waiting(pods) or said or "等待创建 Pod"
    return Copy(attempt, uid, "waiting", words=f"在 Kubernetes 中等待：{words}"[:300])


def _is_lost(pod: Mapping[str, Any], unready: set[str]) -> bool:
    disrupted = condition(pod, "DisruptionTarget")
    is_evicted = disrupted is not None and _DISRUPTIONS.get(disrupted.get("reason", "")) == "node_failed"
    return is_evicted and pod["spec"].get("nodeName") in unready


def _failure(failed: Json, pods: Sequence[Mapping[str, Any]]) -> tuple[str, int | None, str]:
    reason, message = failed.get("reason", ""), failed.get("message", "")
    if reason == "DeadlineExceeded":
        return "time_limit", None, f"Kubernetes：{reason}"
    for pod in pods:
        status = pod["status"]
        disrupted = condition(pod, "DisruptionTarget")
        if status.get("reason") == "DeadlineExceeded":
            return "time_limit", None, "Kubernetes：Pod DeadlineExceeded"
        if disrupted is not None:
            why = disrupted.get("reason", "")
            return _DISRUPTIONS.get(why, "engine_cancelled"), None, f"Kubernetes：{why} {disrupted.get('message', '')}"
        for container in status.get("containerStatuses") or ():
            ended = container.get("state", {}).get("terminated")
            if ended:
                cause = "memory" if ended.get("reason") == "OOMKilled" else "exit"
                said = f"{ended.get('reason', '')} {ended.get('message', '')}".strip()[-200:]
                return cause, int(ended["exitCode"]), f"Kubernetes：{said}"
    return "exit", None, f"Kubernetes：{reason} {message}"[:250]


def _waiting(pods: Sequence[Mapping[str, Any]]) -> str:
    for pod in pods:
        for container in pod["status"].get("containerStatuses") or ():
            waiting = container.get("state", {}).get("waiting")
            if waiting:
                return f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()
        for item in pod["status"].get("conditions") or ():
            if item["type"] == "PodScheduled" and item["status"] == "False":
                return f"{item.get('reason', '')} {item.get('message', '')}".strip()
    return ""


def refusals(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Why pods of Jobs could not be made, by the Job's uid; the last word stands."""
    dated = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return {event["involvedObject"]["uid"]: str(event.get("message", "")) for event in dated}


def admissions(workloads: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What Kueue says of Jobs, by uid; `EVICTED` stands before the words for one that it took back."""
    found: dict[str, str] = {}
    for workload in workloads:
        labels, status = workload["metadata"].get("labels") or {}, workload.get("status") or {}
        uids = [owner["uid"] for owner in workload["metadata"].get("ownerReferences") or () if owner["kind"] == "Job"]
        uid = labels.get("kueue.x-k8s.io/job-uid") or (uids[0] if uids else "")
        evicted = condition(workload, "Evicted")
        words = [item.get("message", "") for item in status.get("conditions") or () if item["type"] == "QuotaReserved"]
        if evicted is not None:
            found[uid] = f"{EVICTED}Kueue：{evicted.get('reason', '')} {evicted.get('message', '')}"
        else:
            found[uid] = f"Kueue：{words[0] if words else '排队中'}"
    return found


def asked_by(pod: Mapping[str, Any], kinds: Mapping[str, str]) -> Counter[str]:
    """What a pod holds of its node: cores, memory (bytes) and cards by kind."""
    held: Counter[str] = Counter()
    names = {resource: kind for kind, resource in kinds.items()} | {"cpu": "cores", "memory": "memory"}
    for container in pod["spec"]["containers"]:
        for resource, amount in (container.get("resources", {}).get("requests") or {}).items():
            if resource in names:
                held[names[resource]] += quantity(amount)  # type: ignore[assignment]
    return held


def node_of(node: Mapping[str, Any], foreign: Mapping[str, float], kinds: Mapping[str, str]) -> Json:
    """A node as it is reported; `load` tells what pods of others hold, as in `cluster.Look`."""
    allocatable = node["status"]["allocatable"]
    load = {"foreign_cores": round(foreign.get("cores", 0.0), 3)}
    load["foreign_memory_mb"] = float(int(foreign.get("memory", 0.0) / 1e6))
    load |= {f"foreign_{kind}": foreign[kind] for kind in kinds if kind in foreign}
    cards = {kind: int(quantity(allocatable[name])) for kind, name in kinds.items() if name in allocatable}
    return {
        "name": shortened(node["metadata"]["name"]),
        "cores": quantity(allocatable["cpu"]),
        "memory_mb": int(quantity(allocatable["memory"]) // 1e6),
        "accelerators": {kind: number for kind, number in cards.items() if number},
        "load": {name: amount for name, amount in load.items() if amount},
    }
