"""PodGroups of Volcano: one a gang, so that its scheduler places all members or none.

A group is made before the first Job that names it, under a name that follows from the gang, so that members may be
submitted in any order and again. Nobody else removes it: it goes when no unfinished Job of its gang has been seen for
a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from compute_scheduler.engine import kubernetes_reading as reading
from compute_scheduler.engine.cluster import ClusterSilent, Submission, SubmissionRefused

Json = dict[str, Any]
SCHEDULER, API = "volcano", "scheduling.volcano.sh/v1beta1"
ANNOTATION = "scheduling.k8s.io/group-name"
# Between a group and the first Job of it lies one request.
UNUSED_S = 120.0


@dataclass
class PodGroups:
    """The groups of one namespace. call: a request to the API server, (status, answer).

    queue: of Volcano, its default when empty.
    """

    namespace: str
    queue: str
    call: Callable[[str, str, Json | None], tuple[int, Json]]
    _unused: dict[str, float] = field(default_factory=dict)

    def ensure(self, submission: Submission) -> None:
        """Makes the group of a gang, if it is not there. Raises ClusterSilent, SubmissionRefused."""
        document = group_document(submission, self.namespace, self.queue)
        status, answer = self.call("POST", self._path(), document)
        if status == 404:
            raise ClusterSilent("集群没有 Volcano 的 PodGroup：请安装 Volcano，或去掉 --pod-scheduler volcano")
        if status == 409:
            name = document["metadata"]["name"]
            status, answer = self.call("GET", self._path(name), None)
            if status == 200 and not reading.has_mark(answer, submission.mark):
                raise SubmissionRefused(f"命名空间 {self.namespace} 中已有他人的同名 PodGroup：{name}")
        if status in (400, 422):
            raise SubmissionRefused(reading.said(answer))
        if status not in (200, 201):
            raise ClusterSilent(f"Kubernetes API：{reading.said(answer)}（HTTP {status}）")

    def sweep(self, groups: Collection[Json], jobs: Collection[Json]) -> None:
        """Removes groups of ours whose gangs have no unfinished Job any more; both as one look has seen them."""
        used = {group_of(reading.attempt_of(job)) for job in jobs if not reading.is_over(job)}
        now = time.monotonic()
        unused = {group["metadata"]["uid"]: group for group in groups if group["metadata"]["name"] not in used}
        self._unused = {uid: self._unused.get(uid, now) for uid in unused}
        for uid, group in unused.items():
            if now - self._unused[uid] >= UNUSED_S:
                # The uid, so that one made anew under this name is never hit; what is refused comes up again.
                body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
                self.call("DELETE", self._path(group["metadata"]["name"]), body)

    def _path(self, name: str = "") -> str:
        path = f"/apis/{API}/namespaces/{quote(self.namespace)}/podgroups"
        return f"{path}/{quote(name)}" if name else path


def group_of(attempt: str) -> str:
    """The name of the group of a gang's member; empty for an attempt that is no member (`JOB.EPOCH.RANK`)."""
    return reading.name_of(attempt.rpartition(".")[0]) if attempt.count(".") == 2 else ""


def group_document(submission: Submission, namespace: str, queue: str) -> Json:
    """The PodGroup that a member of a gang belongs to, the same for each member."""
    return {
        "apiVersion": API,
        "kind": "PodGroup",
        "metadata": {
            "name": group_of(submission.attempt),
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "industry-brain",
                reading.MARK: reading.shortened(submission.mark),
            },
        },
        "spec": {"minMember": submission.members} | ({"queue": queue} if queue else {}),
    }
