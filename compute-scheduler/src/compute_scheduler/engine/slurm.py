"""Slurm through slurmrestd with a JSON Web Token.

Measured on 22.05 (docs/adr/0023): HTTP 500 is an unknown job (`error_number` 2017), a controller that is down (-1)
and a refused token (-1 or 5005) alike. A submission answered with 200 and an error was taken (2068: no node is
available now); it is certainly refused only with an `error_code` about the job, such as 2014 "Requested node
configuration is not available".
"""

from __future__ import annotations

import base64
import json
import math
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from compute_scheduler.engine.cluster import ClusterSilent, Copy, Look, Submission, SubmissionRefused

Json = dict[str, Any]
SIGN = "industry-brain"
TIMEOUT_S = 20.0
CONNECTIONS = 12
JOB_UNKNOWN, PARSING_FAILED = 2017, 9001
# slurm/slurm_errno.h of 22.05: what no later moment will mend. All else may pass, and the job may have been made.
_NEVER = frozenset(
    {*range(2000, 2011), 2012, 2014, 2018, 2023, 2025, 2029, 2040, 2041, 2044, 2045, 2046, 2048, *range(2051, 2055)}
    | {2057, 2066, 2069, 2072, 2102, 2115, 2119, 2122, 2123, 2127, 2129, 2130, 2132, 2133, 2134, PARSING_FAILED}
)
_GPU = re.compile(r"(?:gres:)?gpu(?::([A-Za-z][A-Za-z0-9._-]*))?:(\d+)")
_SHARD = re.compile(r"(?:gres:)?shard(?::[A-Za-z][A-Za-z0-9._-]*)?:(\d+)")
_USABLE = frozenset({"idle", "mixed", "allocated", "completing"})
_UNUSABLE_FLAGS = frozenset({"DRAIN", "FAIL", "MAINT", "NOT_RESPONDING", "REBOOT_ISSUED", "POWERED_DOWN", "PLANNED"})
_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
_RUNNING = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
_CAUSES = {
    "TIMEOUT": "time_limit",
    "DEADLINE": "time_limit",
    "OUT_OF_MEMORY": "memory",
    "NODE_FAIL": "node_failed",
    "BOOT_FAIL": "node_failed",
    "PREEMPTED": "preempted",
    "CANCELLED": "engine_cancelled",
    "REVOKED": "engine_cancelled",
}


@dataclass
class Slurm:
    """A Slurm cluster; see `cluster.Cluster`.

    url: of slurmrestd. token_file: holds the token, read again at each call, so that it can be renewed beside us.
    user: whom the token belongs to and as whom jobs run. partition: where jobs go; empty: the cluster's default.
    A part of a GPU is asked for in shards (gres/shard); `_shards`: of each GPU, as of the last look.
    """

    url: str
    token_file: Path
    user: str
    partition: str = ""
    version: str = "v0.0.38"
    kind: str = "slurm"
    _shards: int = 0
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=CONNECTIONS, block=True))

    def look(self, mark: str) -> Look:
        """See Cluster."""
        copies: list[Copy] = []
        ours: dict[str, Counter[str]] = {}
        foreign = 0
        for job in self._list("/jobs", "jobs"):
            copy = copy_of(job, mark)
            if copy is None:
                foreign += _phase(job) != "ended"
                continue
            copies.append(copy)
            if copy.phase == "running":
                ours.setdefault(str(job.get("nodes", "")), Counter()).update(_held_by(job))
        usable = [node for node in self._list("/nodes", "nodes") if self._takes(node)]
        self._shards = shards_each(usable)
        nodes = [node_of(node, ours.get(node["name"], Counter()), self._shards) for node in usable]
        return Look(tuple(copies), nodes, foreign, bool(self._shards))

    def submit(self, submission: Submission) -> str:
        """See Cluster."""
        if any(number < 1 for number in submission.accelerators.values()) and not self._shards:
            raise SubmissionRefused("这个 Slurm 集群不能分配一块卡的一部分：各节点没有一致的 gres/shard")
        status, answer = self._call("POST", "/job/submit", job_document(submission, self.partition, self._shards))
        if status == 200 and answer.get("job_id"):
            return str(answer["job_id"])  # with an error beside it: it was taken, and waits for that reason
        if any(_number(error) in _NEVER for error in answer.get("errors", ())):
            raise SubmissionRefused(_said(answer))
        raise ClusterSilent(self._why(status, answer))

    def cancel(self, copy: Copy) -> None:
        """See Cluster; the name is compared first, because Slurm may have given the id to another job."""
        status, answer = self._call("GET", f"/job/{copy.remote}")
        if status != 200:
            if JOB_UNKNOWN in map(_number, answer.get("errors", ())):
                return
            raise ClusterSilent(self._why(status, answer))
        if not any(job.get("name") == copy.attempt for job in answer.get("jobs", ())):
            return
        status, answer = self._call("DELETE", f"/job/{copy.remote}")
        if status != 200 and JOB_UNKNOWN not in map(_number, answer.get("errors", ())):
            raise ClusterSilent(self._why(status, answer))

    def release(self, copy: Copy) -> None:
        """See Cluster; Slurm forgets by itself, after MinJobAge."""

    def close(self) -> None:
        """See Cluster."""
        self._pool.clear()

    def _takes(self, node: Json) -> bool:
        if node.get("state") not in _USABLE or _UNUSABLE_FLAGS & set(node.get("state_flags", ())):
            return False
        return not self.partition or self.partition in node.get("partitions", ())

    def _list(self, path: str, name: str) -> list[Json]:
        status, answer = self._call("GET", path)
        if status != 200 or answer.get("errors") or name not in answer:
            raise ClusterSilent(self._why(status, answer))
        found: list[Json] = answer[name]
        return found

    def _call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        headers = {"X-SLURM-USER-NAME": self.user, "X-SLURM-USER-TOKEN": self._token()}
        try:
            answer = self._pool.request(
                method, f"{self.url.rstrip('/')}/slurm/{self.version}{path}", headers=headers, json=body,
                timeout=TIMEOUT_S, retries=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise ClusterSilent(f"slurmrestd 没有应答：{type(error).__name__}") from error
        try:
            document = json.loads(answer.data)
        except ValueError:
            document = {}
        return answer.status, document if isinstance(document, dict) else {}

    def _token(self) -> str:
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ClusterSilent(f"读不到令牌文件 {self.token_file}") from error
        return token.removeprefix("SLURM_JWT=")

    def _why(self, status: int, answer: Json) -> str:
        if status == 401 or not answer:
            return (
                f"slurmrestd 拒绝了凭据（HTTP {status}），请检查用户名和令牌"
                if status in (401, 403)
                else f"HTTP {status}"
            )
        ends_at = expiry(self._token())
        if ends_at is not None and ends_at < time.time():
            return "令牌已过期，请在令牌文件中换上新的（scontrol token）"
        return f"Slurm 控制器没有应答，或令牌无效：{_said(answer)}（HTTP {status}）"


def job_document(submission: Submission, partition: str, shards: int = 0) -> Json:
    """The body of a submission: one task on one node, with the limits of the attempt. shards: of each GPU."""
    job: Json = {
        "name": submission.attempt,
        "comment": f"{SIGN} {submission.mark} {submission.attempt}",
        "tasks": 1,
        "cpus_per_task": max(1, math.ceil(submission.cores)),
        "nodes": 1,
        "memory_per_node": max(1, math.ceil(submission.memory_mb * 1_000_000 / (1 << 20))),
        # Slurm counts minutes; the script keeps the seconds and this is the backstop.
        "time_limit": math.ceil(submission.time_limit_s / 60) + 1,
        "current_working_directory": "/",
        "standard_output": str(submission.log),
        "standard_error": str(submission.log),
        "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        "requeue": False,
    }
    if submission.accelerators:
        job["gres"] = ",".join(
            f"shard:{math.ceil(number * shards)}"
            if number < 1
            else f"gpu:{number}"
            if kind == "gpu"
            else f"gpu:{kind}:{number}"
            for kind, number in sorted(submission.accelerators.items())
        )
    if partition:
        job["partition"] = partition
    return {"job": job, "script": f"#!/bin/bash\nexec /bin/bash {shlex.quote(str(submission.script))}\n"}


def copy_of(job: Mapping[str, Any], mark: str) -> Copy | None:
    """A job of Slurm as a copy; None when it does not carry the mark: it is somebody else's, whatever its name."""
    name = str(job.get("name", ""))
    if not mark or job.get("comment") != f"{SIGN} {mark} {name}":
        return None
    state, reason = str(job.get("job_state", "")), str(job.get("state_reason", ""))
    phase = _phase(job)
    remote = str(job["job_id"])
    if phase == "waiting":
        return Copy(name, remote, phase, words=f"在 Slurm 队列中，作业号 {remote}：{reason}")
    if phase == "running":
        return Copy(name, remote, phase, words=f"Slurm 作业 {remote} 已在 {job.get('nodes', '')} 启动，等待认领")
    status = job.get("exit_code")
    code = (status >> 8) & 0xFF if isinstance(status, int) and not status & 0x7F else None
    return Copy(name, remote, phase, _CAUSES.get(state, "exit"), code, f"Slurm：{state} {reason}".rstrip())


def shards_each(nodes: Iterable[Mapping[str, Any]]) -> int:
    """Into how many shards each GPU is cut; 0 where none are, or where a shard does not say what it is part of.

    Slurm gives shards of whatever GPU has some, so they stand for parts of one only where all GPUs are of one kind
    and cut alike.
    """
    parts: set[int] = set()
    names: set[str] = set()
    for node in nodes:
        kinds = _kinds(node.get("gres"))
        if kinds:
            each, rest = divmod(_shards(node.get("gres")), sum(kinds.values()))
            parts.add(0 if rest else each)
            names |= kinds.keys()
    return parts.pop() if len(parts) == len(names) == 1 else 0


def node_of(node: Mapping[str, Any], ours: Mapping[str, int], shards: int = 0) -> Json:
    """A node as it is reported; `load` tells what jobs of others hold: foreign_cores, foreign_memory_mb, foreign_KIND.

    ours: what running jobs of our own hold there: cores, memory (MiB), shards and each kind of card. shards: of each
    GPU; what others hold of shards counts as whole GPUs.
    """
    foreign = {
        "cores": float(max(0, int(node.get("alloc_cpus") or 0) - ours.get("cores", 0))),
        "memory_mb": float(_megabytes(max(0, int(node.get("alloc_memory") or 0) - ours.get("memory", 0)))),
    }
    for kind, number in _kinds(node.get("gres_used")).items():
        foreign[kind] = float(max(0, number - ours.get(kind, 0)))
    shared = max(0, _shards(node.get("gres_used")) - ours.get("shards", 0))
    for kind in _kinds(node.get("gres")) if shards and shared else ():
        foreign[kind] = foreign.get(kind, 0.0) + math.ceil(shared / shards)
    load = {f"foreign_{name}": amount for name, amount in foreign.items() if amount}
    if isinstance(node.get("cpu_load"), int):
        load["load_1m"] = round(node["cpu_load"] / 100, 2)
    return {
        "name": node["name"],
        "cores": float(node["cpus"]),
        "memory_mb": _megabytes(int(node["real_memory"])),
        "accelerators": _kinds(node.get("gres")),
        "load": load,
    }


def _held_by(job: Mapping[str, Any]) -> dict[str, int]:
    amounts = {"cores": int(job.get("cpus") or 0), "memory": int(job.get("memory_per_node") or 0)}
    return amounts | _kinds(job.get("tres_per_node")) | {"shards": _shards(job.get("tres_per_node"))}


def _kinds(gres: Any) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for kind, number in _GPU.findall(str(gres or "")):
        kinds[kind or "gpu"] += int(number)
    return dict(kinds)


def _shards(gres: Any) -> int:
    return sum(map(int, _SHARD.findall(str(gres or ""))))


def _megabytes(mebibytes: int) -> int:
    return mebibytes * (1 << 20) // 1_000_000


def expiry(token: str) -> float | None:
    """When a token says that it ends, seconds since 1970; None when it does not say."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def _phase(job: Mapping[str, Any]) -> Any:
    state = str(job.get("job_state", ""))
    return "waiting" if state in _WAITING else "running" if state in _RUNNING else "ended"


def _number(error: Mapping[str, Any]) -> int | None:
    for name in ("error_number", "error_code", "errno"):
        if isinstance(error.get(name), int):
            return int(error[name])
    return None


def _said(answer: Json) -> str:
    words = [str(error.get("description") or error.get("error") or "") for error in answer.get("errors", ())]
    return "；".join(dict.fromkeys(filter(None, words)))[:200] or "没有说明原因"
