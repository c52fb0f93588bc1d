"""Kubernetes: each attempt is a Job, made, found and ended through the API server (docs/adr/0025).

Everything is read by lists, whole, each look: a watch may end, lag or expire at any time and would prove no more. Only
the conditions Complete and Failed are final; SuccessCriteriaMet and FailureTarget come a second or more before.
"""

from __future__ import annotations

import json
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from compute_scheduler.engine import kubernetes_reading as reading
from compute_scheduler.engine.cluster import ClusterSilent, Copy, Look, Submission, SubmissionRefused
from compute_scheduler.engine.kubernetes_groups import API as GROUPS
from compute_scheduler.engine.kubernetes_groups import SCHEDULER, PodGroups
from compute_scheduler.engine.kubernetes_jobs import JobOptions, UnknownKind, job_document

Json = dict[str, Any]
TIMEOUT_S = 20.0
CONNECTIONS = 12
PAGE = 500
# A list in pages begins again so often when its first page is too old for its next one.
RELISTS = 3
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_KUEUE = "/apis/kueue.x-k8s.io"


class Expired(Exception):
    """410: the API server no longer has the state that a list was begun with."""


@dataclass
class Kubernetes:
    """A cluster of Kubernetes; see `cluster.Cluster`.

    url: of the API server. token_file: of a service account, read again at each call, since tokens are renewed there.
    ca_file: who signed the API server's certificate; None: what the machine trusts. kept_s: seconds that a Job stays
    in Kubernetes once the platform has recorded its result.
    """

    url: str
    token_file: Path
    jobs: JobOptions
    ca_file: Path | None = None
    kept_s: int = 3600
    page: int = PAGE
    kind: str = "kubernetes"
    _pool: urllib3.PoolManager = field(init=False)
    _kueue: str = ""
    _groups: PodGroups | None = None

    def __post_init__(self) -> None:
        trust = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, block=True, ssl_context=trust)
        if self.jobs.scheduler == SCHEDULER:
            self._groups = PodGroups(self.jobs.namespace, self.jobs.volcano_queue, self._call)

    # cluster.Cluster ----------------------------------------------------------------------------------------------

    def look(self, mark: str) -> Look:
        """See Cluster."""
        nodes = self._list("/api/v1/nodes")
        pods = self._list("/api/v1/pods", fieldSelector=_UNFINISHED)
        ours = reading.by_job([pod for pod in pods if reading.has_mark(pod, mark)])
        others = [pod for pod in pods if not reading.has_mark(pod, mark)]
        found = (
            self._list(self._here("jobs"), labelSelector=f"{reading.MARK}={reading.shortened(mark)}") if mark else []
        )
        ended = self._ended_pods(found, mark)
        if self._groups is not None and mark:
            self._groups.sweep(self._our_groups(mark), found)
        unready = {node["metadata"]["name"] for node in nodes if not reading.is_ready(node)}
        said = self._said_of_waiting(found, ours)
        copies = []
        for job in found:
            uid = job["metadata"]["uid"]
            own = [*ours.get(uid, ()), *ended.get(uid, ())]
            copy = reading.copy_of(job, own, unready, said.get(uid, ""))
            if copy is not None:
                copies.append(copy)
        return Look(tuple(copies), self._nodes(nodes, others), len(reading.owners(others)))

    def submit(self, submission: Submission) -> str:
        """See Cluster; a Job of that name is taken for ours only by its labels, and known by its uid from then on."""
        try:
            document = job_document(submission, self.jobs)
        except UnknownKind as unknown:
            raise SubmissionRefused(str(unknown)) from unknown
        if self._groups is not None and submission.members > 1:
            self._groups.ensure(submission)
        status, answer = self._call("POST", self._here("jobs"), document)
        if status == 409:
            return self._adopted(submission)
        if status in (200, 201, 202):
            return str(answer["metadata"]["uid"])
        if status in (400, 413, 422):
            raise SubmissionRefused(reading.said(answer))
        raise ClusterSilent(self._why(status, answer))

    def cancel(self, copy: Copy) -> None:
        """See Cluster; by name and uid at once, so that a later Job of that name is never hit."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": copy.remote},
        }
        self._do("DELETE", copy, options)

    def release(self, copy: Copy) -> None:
        """See Cluster: an ended Job may now go after `kept_s`; one that will not end by itself goes at once."""
        if copy.cause in reading.STANDING:
            self.cancel(copy)
            return
        change = {"metadata": {"uid": copy.remote}, "spec": {"ttlSecondsAfterFinished": self.kept_s}}
        self._do("PATCH", copy, change)

    def close(self) -> None:
        """See Cluster."""
        self._pool.clear()

    # inside -------------------------------------------------------------------------------------------------------

    def _here(self, kind: str, name: str = "") -> str:
        path = f"/apis/batch/v1/namespaces/{quote(self.jobs.namespace)}/{kind}"
        return f"{path}/{quote(name)}" if name else path

    def _our_groups(self, mark: str) -> list[Json]:
        selected = {"labelSelector": f"{reading.MARK}={reading.shortened(mark)}"}
        try:
            return self._list(f"/apis/{GROUPS}/namespaces/{quote(self.jobs.namespace)}/podgroups", **selected)
        except ClusterSilent:
            return []  # without Volcano, or the right to list them, there is none of ours to remove

    def _do(self, method: str, copy: Copy, body: Json) -> None:
        status, answer = self._call(method, self._here("jobs", reading.name_of(copy.attempt)), body)
        # 409: a Job with another uid has the name, and the one that was meant is gone.
        if status not in (200, 202, 404, 409):
            raise ClusterSilent(self._why(status, answer))

    def _adopted(self, submission: Submission) -> str:
        name = reading.name_of(submission.attempt)
        status, answer = self._call("GET", self._here("jobs", name))
        if status != 200:
            raise ClusterSilent(self._why(status, answer))
        if not reading.has_mark(answer, submission.mark) or reading.attempt_of(answer) != submission.attempt:
            raise SubmissionRefused(f"命名空间 {self.jobs.namespace} 中已有他人的同名 Job：{name}")
        return str(answer["metadata"]["uid"])

    def _ended_pods(self, jobs: list[Json], mark: str) -> dict[str, list[Json]]:
        """Pods of Jobs that have failed and are not released: why, which the Job itself does not tell."""
        if not any(reading.has_failed(job) and not reading.is_released(job) for job in jobs):
            return {}
        path = f"/api/v1/namespaces/{quote(self.jobs.namespace)}/pods"
        selected = {
            "labelSelector": f"{reading.MARK}={reading.shortened(mark)}",
            "fieldSelector": "status.phase=Failed",
        }
        return reading.by_job(self._list(path, **selected))

    def _said_of_waiting(self, jobs: list[Json], pods: Mapping[str, list[Json]]) -> dict[str, str]:
        """What Kubernetes and Kueue say of Jobs that have no pod, by uid."""
        waiting = [job for job in jobs if not reading.is_over(job) and job["metadata"]["uid"] not in pods]
        if not waiting:
            return {}
        said: dict[str, str] = {}
        space = quote(self.jobs.namespace)
        if any(not job["spec"].get("suspend") for job in waiting):
            selected = {"fieldSelector": "involvedObject.kind=Job,reason=FailedCreate"}
            said |= reading.refusals(self._list(f"/api/v1/namespaces/{space}/events", **selected))
        if self.jobs.kueue_queue and any(job["spec"].get("suspend") for job in waiting):
            version = self._kueue_version()
            if version:
                said |= reading.admissions(self._list(f"{_KUEUE}/{version}/namespaces/{space}/workloads"))
        return said

    def _kueue_version(self) -> str:
        if not self._kueue:
            status, answer = self._call("GET", _KUEUE)
            if status == 200:
                self._kueue = str(answer["preferredVersion"]["version"])
        return self._kueue

    def _nodes(self, nodes: list[Json], others: list[Json]) -> list[Json]:
        cards = {node["metadata"]["name"]: reading.cards_of(node, self.jobs.kinds) for node in nodes}
        held: dict[str, Counter[str]] = {name: Counter() for name in cards}
        for pod in others:
            name = pod["spec"].get("nodeName")
            if name in held:
                held[name].update(reading.asked_by(pod, cards[name]))
        usable = [(node["metadata"]["name"], node) for node in nodes if reading.takes_pods(node)]
        return [reading.node_of(node, held[name], cards[name]) for name, node in usable]

    def _list(self, path: str, **query: str) -> list[Json]:
        for _ in range(RELISTS):
            try:
                return [item for page in self._pages(path, query) for item in page]
            except Expired:
                continue
        raise ClusterSilent("列表在翻页期间反复过期（HTTP 410）")

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[list[Json]]:
        token = ""
        while True:
            asked = {**query, "limit": str(self.page)} | ({"continue": token} if token else {})
            status, answer = self._call("GET", f"{path}?{urlencode(asked)}")
            if status == 410:
                raise Expired
            if status != 200 or "items" not in answer:
                raise ClusterSilent(self._why(status, answer))
            yield answer["items"]
            token = str(answer["metadata"].get("continue") or "")
            if not token:
                return

    def _call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            answer = self._pool.request(
                method, self.url.rstrip("/") + path, headers=headers, timeout=TIMEOUT_S, retries=False,
                body=None if body is None else json.dumps(body).encode(),
            )  # fmt: skip
        except urllib3.exceptions.SSLError as error:
            raise ClusterSilent("Kubernetes API 的证书不受信任，请检查 --ca-file") from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterSilent(f"Kubernetes API 没有应答：{type(error).__name__}") from error
        try:
            document = json.loads(answer.data)
        except ValueError:
            document = {}
        return answer.status, document if isinstance(document, dict) else {}

    def _token(self) -> str:
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ClusterSilent(f"读不到令牌文件 {self.token_file}") from error

    def _why(self, status: int, answer: Json) -> str:
        if status == 401:
            return "Kubernetes API 拒绝了令牌（HTTP 401），请更换令牌文件"
        return f"Kubernetes API：{reading.said(answer)}（HTTP {status}）"
