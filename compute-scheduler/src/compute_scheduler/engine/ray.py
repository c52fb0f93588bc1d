"""Ray through the REST API of its jobs (dashboard port), without Ray's own package.

Measured on 2.60 (docs/adr/0023): a submission id is taken once, and a repeat is answered with 500 "already exists"; so
the id is the attempt's, and asking again is safe. 500 is also "no agent available, try again". 404 is an unknown job.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from compute_scheduler.engine.cluster import ClusterSilent, Copy, Look, Submission, SubmissionRefused

Json = dict[str, Any]
SIGN = "industry-brain"
TIMEOUT_S = 30.0
CONNECTIONS = 12
TYPE, TYPE_PART = "accelerator_type:", 0.001
REMEMBERED_S = 600.0
_PHASES = {"PENDING": "waiting", "RUNNING": "running", "STOPPED": "ended", "SUCCEEDED": "ended", "FAILED": "ended"}


@dataclass
class Ray:
    """A Ray cluster; see `cluster.Cluster`. url: of its dashboard, which also serves the jobs.

    Everything that Ray has counts as one node: it places jobs itself.
    """

    url: str
    kind: str = "ray"
    _models: frozenset[str] = frozenset()
    _deleted: dict[str, float] = field(default_factory=dict)
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=CONNECTIONS, block=True))

    def look(self, mark: str) -> Look:
        """See Cluster."""
        status, jobs = self._call("GET", "/api/jobs/")
        if status != 200 or not isinstance(jobs, list):
            raise ClusterSilent(f"Ray 的作业接口没有应答（HTTP {status}）")
        copies, foreign = [], 0
        for job in jobs:
            copy = copy_of(job, mark) or self._revenant(job)
            if copy is not None:
                copies.append(copy)
            elif job.get("type") == "SUBMISSION":
                foreign += _PHASES.get(str(job.get("status")), "waiting") != "ended"
        status, told = self._call("GET", "/api/v0/nodes?detail=true&limit=10000")
        if status != 200 or not isinstance(told, dict):
            raise ClusterSilent(f"Ray 的节点接口没有应答（HTTP {status}）")
        rows = told["data"]["result"]["result"]
        self._models = frozenset(filter(None, map(model_of, rows)))
        return Look(tuple(copies), nodes_of(rows), foreign, shares=True)

    def submit(self, submission: Submission) -> str:
        """See Cluster; an id that is taken was made by an earlier request of ours."""
        status, answer = self._call("POST", "/api/jobs/", job_document(submission, self._models))
        if status == 200:
            return submission.attempt
        words = str(answer)[:300]
        if status == 500 and "already exists" in words:
            return submission.attempt
        if status == 400:
            raise SubmissionRefused(words)
        raise ClusterSilent(f"Ray 没有接受作业（HTTP {status}）：{words}")

    def cancel(self, copy: Copy) -> None:
        """See Cluster."""
        status, answer = self._call("POST", f"/api/jobs/{copy.remote}/stop")
        if status not in (200, 404):
            raise ClusterSilent(f"Ray 没有停止作业（HTTP {status}）：{str(answer)[:200]}")

    def release(self, copy: Copy) -> None:
        """See Cluster; Ray itself deletes no record of a job before its head starts anew, and tells all at each look.

        A repeat of the submission that arrives later would make the job again: its claim is refused.
        """
        self._deleted = {name: at for name, at in self._deleted.items() if at > time.monotonic() - REMEMBERED_S}
        self._deleted[copy.remote] = time.monotonic()
        status, answer = self._call("DELETE", f"/api/jobs/{copy.remote}")
        if status not in (200, 404):
            raise ClusterSilent(f"Ray 没有删除作业记录（HTTP {status}）：{str(answer)[:200]}")

    def close(self) -> None:
        """See Cluster."""
        self._pool.clear()

    def _revenant(self, job: Json) -> Copy | None:
        """A record that was deleted a moment ago: Ray's watch of the job writes it once more, without our mark."""
        name = str(job.get("submission_id"))
        if name not in self._deleted or job.get("metadata") or _PHASES.get(str(job.get("status"))) != "ended":
            return None
        return Copy(name, name, "ended", "exit", is_kept=True)

    def _call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
        try:
            answer = self._pool.request(
                method, self.url.rstrip("/") + path, json=body, timeout=TIMEOUT_S, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterSilent(f"Ray 没有应答：{type(error).__name__}") from error
        try:
            return answer.status, json.loads(answer.data)
        except ValueError:
            return answer.status, answer.data.decode("utf-8", "replace")


def job_document(submission: Submission, models: Collection[str] = ()) -> Json:
    """The body of a submission. The script keeps the time limit: Ray has none.

    models: kinds that are models of GPUs. Ray keeps a job to one by a sliver of the resource named for it, as its own
    `accelerator_type` does; parts of a GPU it gives by itself.
    """
    script, log = shlex.quote(str(submission.script)), shlex.quote(str(submission.log))
    document: Json = {
        "entrypoint": f"BRAIN_REMOTE={shlex.quote(submission.attempt)} /bin/bash {script} >{log} 2>&1",
        "submission_id": submission.attempt,
        "metadata": {SIGN: submission.mark},
        "entrypoint_num_cpus": submission.cores,
        "entrypoint_memory": submission.memory_mb * 1_000_000,
    }
    kinds = dict(submission.accelerators)
    typed = {kind: kinds.pop(kind) for kind in sorted(kinds) if kind in models}
    gpus = kinds.pop("gpu", 0) + sum(typed.values())
    if gpus:
        document["entrypoint_num_gpus"] = gpus
    wanted = {kind: float(number) for kind, number in sorted(kinds.items())}
    wanted |= {TYPE + kind: TYPE_PART for kind in typed}
    if wanted:
        document["entrypoint_resources"] = wanted
    return document


def copy_of(job: Mapping[str, Any], mark: str) -> Copy | None:
    """A job of Ray as a copy; None when it does not carry the mark."""
    if not mark or (job.get("metadata") or {}).get(SIGN) != mark or not job.get("submission_id"):
        return None
    name, status = str(job["submission_id"]), str(job.get("status"))
    phase: Any = _PHASES.get(status, "waiting")
    message = str(job.get("message") or "").splitlines()[:1]
    words = f"Ray：{status} {message[0] if message else ''}".rstrip()[:250]
    if phase != "ended":
        return Copy(name, name, phase, words=words)
    code = job.get("driver_exit_code")
    lost = status == "FAILED" and code is None  # its supervisor or node died, and nobody saw how it ended
    cause = "engine_cancelled" if status == "STOPPED" else "node_failed" if lost else "exit"
    return Copy(name, name, phase, cause, code if isinstance(code, int) else None, words, is_kept=True)


def model_of(row: Mapping[str, Any]) -> str:
    """The model of a living node's GPUs, which Ray finds by itself; empty when it has none or does not know."""
    total = row.get("resources_total") or {}
    names = [name.removeprefix(TYPE) for name in total if name.startswith(TYPE)] if row.get("state") == "ALIVE" else []
    return names[0] if len(names) == 1 and total.get("GPU") else ""


def nodes_of(rows: list[Json]) -> list[Json]:
    """All living nodes together as the one node `ray`; nothing when none lives. GPUs by model, or as `gpu`."""
    total: dict[str, float] = {}
    for row in rows:
        if row.get("state") == "ALIVE":
            model = model_of(row)
            for name, amount in (row.get("resources_total") or {}).items():
                known = (model or "gpu") if name == "GPU" else name
                total[known] = total.get(known, 0.0) + float(amount)
    if not total:
        return []
    kinds = {
        name: math.floor(amount)
        for name, amount in total.items()
        if name not in ("CPU", "memory", "object_store_memory") and ":" not in name and amount >= 1
    }
    memory_mb = int(total.get("memory", 0.0)) // 1_000_000
    return [{"name": "ray", "cores": total.get("CPU", 0.0), "memory_mb": memory_mb, "accelerators": kinds, "load": {}}]
