"""Replays one trace in a process of its own: `python -m compute_scheduler.replay FOLDER`.

FOLDER/request.json says what; lines `done total` on stdout tell how far it is; result.json and schedule.json hold what
came out, error.txt what was wrong with the trace (exit code 3). The service stays free of the work and of its memory.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compute_scheduler.domain.resources import MILLI
from compute_scheduler.domain.simulation.costs import from_json
from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.elasticflow import read_elasticflow
from compute_scheduler.domain.simulation.fgd import fgd
from compute_scheduler.domain.simulation.history import PastRun, trace_of
from compute_scheduler.domain.simulation.jobs import BadTrace, Served, Trace, metrics
from compute_scheduler.domain.simulation.openb import PodTrace, read_openb
from compute_scheduler.domain.simulation.packing import curve, pack, packed
from compute_scheduler.domain.simulation.policies import POLICIES, policy_with
from compute_scheduler.domain.simulation.run import simulate
from compute_scheduler.domain.simulation.shaking import shaken
from compute_scheduler.domain.simulation.swf import read_swf

TELL_EVERY_S = 0.3
BAD_TRACE = 3
MEMORY_BYTES = 4 << 30
# A small archive may unpack to any size.
MOST_UNPACKED_BYTES = 400_000_000


def read_trace(folder: Path, request: dict[str, Any]) -> Trace:
    """The trace of a request. Raises BadTrace."""
    form, limit, seed = request["format"], request["limit"], request["seed"]
    if form == "platform":
        runs = [PastRun(**run) for run in json.loads((folder / "runs.json").read_text(encoding="utf-8"))]
        costs = {centre: from_json(told) for centre, told in request.get("costs", {}).items()}
        found = trace_of(request["name"], runs, request["centres"], limit, costs)
        return replace(found, jobs=tuple(shaken(list(found.jobs), seed)))
    files = {name: folder / f"trace-{number}" for number, name in enumerate(request["files"])}
    try:
        if form == "swf":
            (path,) = files.values()
            return read_swf(request["name"], _lines(path), request["processors"], limit, seed)
        clusters = dict(item for name, path in files.items() for item in _clusters(name, path))
        return read_elasticflow(request["name"], clusters, request["load"], request["staging_s"], limit, seed)
    except (OSError, EOFError, zlib.error, tarfile.TarError, UnicodeDecodeError) as error:
        raise BadTrace(f"{error}") from None


def read_pods(folder: Path, request: dict[str, Any]) -> PodTrace:
    """The pod and node list of a request. Raises BadTrace."""
    (pods,), (nodes,) = request["files"], request["nodes"]
    try:
        listed, machines = list(_lines(folder / "trace-0")), list(_lines(folder / "nodes-0"))
    except (OSError, EOFError, zlib.error) as error:
        raise BadTrace(f"{error}") from None
    return read_openb(pods, listed, nodes, machines, request["limit"], request["seed"])


def placed(trace: PodTrace, policy: str, tell: Callable[[int], None]) -> tuple[dict[str, Any], list[Any]]:
    """The same for pods that come one by one and stay, beside published FGD; one row a pod.

    tell: first the pods that the policy has decided, then these and those of FGD.
    """
    number = len(trace.pods)
    started = time.perf_counter()
    ours = pack(trace, POLICIES[policy], tell)
    between = time.perf_counter()
    theirs = fgd(trace, lambda done: tell(number + done))
    ended = time.perf_counter()
    rates = [number / max(took, 1e-9) for took in (between - started, ended - between)]
    result = {
        "trace": trace.name,
        "policy": policy,
        "jobs": number,
        "centres": {},
        "nodes": len(trace.nodes),
        "gpus": trace.capacity // MILLI,
        "metrics": {**packed(trace, ours), "decisions_per_s": rates[0]},
        "reference": {"name": "FGD", "metrics": {**packed(trace, theirs), "decisions_per_s": rates[1]}},
        "curve": {"policy": _rounded(curve(trace, ours)), "reference": _rounded(curve(trace, theirs))},
    }
    rows = [
        [pod.milli_cores, pod.memory_mib, pod.gpus, pod.milli, "|".join(pod.models), bool(a), bool(b)]
        for pod, a, b in zip(trace.pods, ours, theirs, strict=True)
    ]
    return result, rows


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def replayed(
    trace: Trace, policy: str, values: Mapping[str, float], tell: Callable[[int], None]
) -> tuple[dict[str, Any], list[Any]]:
    """(metrics of the policy and of the reference, the schedule: one row a job)."""
    started = time.perf_counter()
    ours = simulate(trace, policy_with(policy, values), tell)
    took = max(time.perf_counter() - started, 1e-9)
    plain = easy(trace)
    result = {
        "trace": trace.name,
        "policy": policy,
        "jobs": len(trace.jobs),
        "centres": trace.centres,
        "metrics": {**metrics(trace, ours), "decisions_per_s": len(trace.jobs) / took},
        "reference": {"name": "EASY" if len(trace.centres) == 1 else "pull", "metrics": metrics(trace, plain)},
    }
    return result, schedule(trace, ours, plain)


def schedule(trace: Trace, ours: Sequence[Served], plain: Sequence[Served]) -> list[Any]:
    """One row a job: id, tenant, home, processors, submitted, run_s, then start and centre by policy and reference."""
    return [
        [job.id, job.tenant, job.home, job.processors, job.submitted_at, job.run_s, a.start_at, a.centre, b.start_at,
         b.centre]
        for job, a, b in zip(trace.jobs, ours, plain, strict=True)
    ]  # fmt: skip


def main() -> int:
    """Does what the folder asks for."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    is_packing = request["format"] == "openb"
    trace: Trace | PodTrace
    try:
        trace = read_pods(folder, request) if is_packing else read_trace(folder, request)
    except BadTrace as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8")
        return BAD_TRACE
    told = 0.0

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > TELL_EVERY_S:
            told = now
            print(done, total, flush=True)  # noqa: T201 - how the service learns of the progress

    total = 2 * len(trace.pods) if isinstance(trace, PodTrace) else len(trace.jobs)
    tell(0)
    if isinstance(trace, PodTrace):
        result, rows = placed(trace, request["policy"], tell)
    else:
        result, rows = replayed(trace, request["policy"], request.get("values") or {}, tell)
    (folder / "schedule.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    return 0


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source: Any = gzip.GzipFile(fileobj=raw) if is_packed else raw
        yield from _limited(io.TextIOWrapper(source, encoding="utf-8", errors="replace"))


def _clusters(name: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of each cluster: of a CSV file, or of those in a tar."""
    if not tarfile.is_tarfile(path):
        yield Path(name).name.removesuffix(".gz").removesuffix(".csv"), list(_lines(path))
        return
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".csv") else None
            if file is not None:
                text = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
                yield Path(member.name).stem, list(_limited(text))


def _limited(lines: io.TextIOWrapper) -> Iterator[str]:
    size = 0
    while line := lines.readline(1_000_000):
        size += len(line)
        if size > MOST_UNPACKED_BYTES:
            raise BadTrace(f"解开后超过 {MOST_UNPACKED_BYTES} 字节")
        yield line


if __name__ == "__main__":
    sys.exit(main())
