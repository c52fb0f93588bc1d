"""How an attempt is written as a Job of Kubernetes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compute_scheduler.engine import kubernetes_reading as reading
from compute_scheduler.engine.cluster import Submission
from compute_scheduler.engine.kubernetes_groups import ANNOTATION, SCHEDULER, group_of

Json = dict[str, Any]
VOLUME = "brain-shared"
# Beyond the job's own limit, which the script keeps: for pulling the image and claiming.
RESERVE_S = 900
GRACE_S = 30
_UID_LABEL = "metadata.labels['batch.kubernetes.io/controller-uid']"


class UnknownKind(ValueError):
    """An accelerator that no resource of Kubernetes is named for; the text is for the job's owner."""


@dataclass(frozen=True)
class JobOptions:
    """What an operator says of every Job.

    image: must hold bash and coreutils. claim: a PersistentVolumeClaim that is the shared folder; empty: the folder is
    there on every node under the same path. kinds: accelerator kind to resource of Kubernetes, after `@` the label of
    the nodes that have it (`nvidia.com/gpu@nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB`). kueue_queue: Jobs are made
    suspended with the label of this LocalQueue. scheduler: of pods, such as `volcano`, and volcano_queue its queue;
    with `volcano` a gang is a PodGroup too.
    evict_s: seconds after which pods on a silent node are given up.
    """

    namespace: str
    image: str
    service_account: str = ""
    claim: str = ""
    kinds: Mapping[str, str] = field(default_factory=lambda: {"gpu": "nvidia.com/gpu"})
    kueue_queue: str = ""
    scheduler: str = ""
    volcano_queue: str = ""
    evict_s: int = 60


def job_document(submission: Submission, options: JobOptions) -> Json:
    """The Job of an attempt. Raises UnknownKind."""
    labels = {
        "app.kubernetes.io/managed-by": "industry-brain",
        reading.MARK: reading.shortened(submission.mark),
        reading.ATTEMPT: submission.attempt,
    }
    job, _, epoch = submission.attempt.rpartition(".")
    queue = {"kueue.x-k8s.io/queue-name": options.kueue_queue} if options.kueue_queue else {}
    pod_notes = {"scheduling.volcano.sh/queue-name": options.volcano_queue} if options.volcano_queue else {}
    if options.scheduler == SCHEDULER and submission.members > 1:
        pod_notes[ANNOTATION] = group_of(submission.attempt)
    spec: Json = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "template": {"metadata": {"labels": labels, "annotations": pod_notes}, "spec": _pod(submission, options)},
    }
    if options.kueue_queue:
        spec["suspend"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": reading.name_of(submission.attempt),
            "namespace": options.namespace,
            "labels": labels | queue,
            "annotations": {reading.JOB: job, reading.EPOCH: epoch},
        },
        "spec": spec,
    }


def _pod(submission: Submission, options: JobOptions) -> Json:
    patience = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": options.evict_s}
    spec: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        # Counted from the pod's start, so that waiting in a queue of the cluster costs nothing.
        "activeDeadlineSeconds": submission.time_limit_s + RESERVE_S,
        "tolerations": [{"key": f"node.kubernetes.io/{state}"} | patience for state in ("not-ready", "unreachable")],
        # The shared folder belongs to the agent's user.
        "securityContext": {
            "runAsUser": os.geteuid(),
            "runAsGroup": os.getegid(),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(submission, options)],
        "volumes": [_volume(submission, options)],
    }
    if labels := _labels(submission, options):
        spec["nodeSelector"] = labels
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.scheduler:
        spec["schedulerName"] = options.scheduler
    return spec


def _container(submission: Submission, options: JobOptions) -> Json:
    folder = submission.script.parent
    return {
        "name": "job",
        "image": options.image,
        "command": ["/bin/bash", str(submission.script)],
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in (("BRAIN_REMOTE", _UID_LABEL), ("BRAIN_ADDRESS", "status.podIP"))
        ],
        "resources": _amounts(submission, options),
        # Of the shared folder a job sees its own part and where to ask, nothing of other jobs.
        "volumeMounts": [
            {"name": VOLUME, "mountPath": str(folder), "subPath": folder.name},
            {"name": VOLUME, "mountPath": str(folder.parent / "desk"), "subPath": "desk", "readOnly": True},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _volume(submission: Submission, options: JobOptions) -> Json:
    if options.claim:
        return {"name": VOLUME, "persistentVolumeClaim": {"claimName": options.claim}}
    return {"name": VOLUME, "hostPath": {"path": str(submission.script.parent.parent), "type": "Directory"}}


def _labels(submission: Submission, options: JobOptions) -> dict[str, str]:
    """Labels of nodes that have the kinds of accelerators."""
    asked = [reading.card(options.kinds[kind])[1] for kind in sorted(submission.accelerators) if kind in options.kinds]
    return {name: value for labels in asked for name, value in labels.items()}


def _amounts(submission: Submission, options: JobOptions) -> Json:
    """What a job asks for is also its limit."""
    memory = {"memory": f"{submission.memory_mb}M"}
    cards: dict[str, str] = {}
    for kind, number in sorted(submission.accelerators.items()):
        if kind not in options.kinds:
            raise UnknownKind(
                f"该中心没有为加速器 {kind} 指定 Kubernetes 资源名，可用：{'、'.join(sorted(options.kinds)) or '无'}"
            )
        if number < 1:
            raise UnknownKind(f"Kubernetes 只能分配整块加速卡，不能只给 {number:g} 块 {kind}；请改为整块")
        cards[reading.card(options.kinds[kind])[0]] = str(number)
    cores = {"cpu": f"{math.ceil(submission.cores * 1000)}m"}
    return {"requests": cores | memory | cards, "limits": cores | memory | cards}
