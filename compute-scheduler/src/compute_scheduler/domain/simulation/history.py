"""A trace of jobs that this platform ran, as far as cores tell it: memory and accelerators are left aside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compute_scheduler.domain.simulation.costs import Costs
from compute_scheduler.domain.simulation.jobs import BadTrace, Trace, TraceJob

GANG_S = 60.0


@dataclass(frozen=True, slots=True)
class PastRun:
    """One accounted attempt of a job: seconds since 1970, cores that it held."""

    job: str
    tenant: str
    centre: str
    submitted_at: float
    started_at: float
    run_s: float
    time_limit_s: float
    cores: float


def trace_of(
    name: str,
    runs: Iterable[PastRun],
    centres: Mapping[str, float],
    limit: int | None = None,
    costs: Mapping[str, Costs] | None = None,
) -> Trace:
    """The jobs as a trace: each as it ran the last time, at home where it ran.

    Of a job of several members those that started within a minute of the last count together. A centre has the cores
    that it offers now, and no fewer than its largest job. limit: the last jobs only. costs: by centre, of a core.
    Raises BadTrace without jobs.
    """
    by_job: dict[str, list[PastRun]] = {}
    for run in runs:
        by_job.setdefault(run.job, []).append(run)
    jobs = sorted((_job(of) for of in by_job.values()), key=lambda job: (job.submitted_at, job.id))
    if limit is not None:
        jobs = jobs[-limit:]
    if not jobs:
        raise BadTrace("这段时间没有运行过的作业")
    sizes = {centre: math.floor(cores) for centre, cores in centres.items()}
    for job in jobs:
        sizes[job.home] = max(sizes.get(job.home, 0), job.processors)
    return Trace(name, {centre: size for centre, size in sorted(sizes.items()) if size}, tuple(jobs), costs=costs or {})


def _job(runs: list[PastRun]) -> TraceJob:
    newest = max(run.started_at for run in runs)
    last = [run for run in runs if run.started_at > newest - GANG_S and run.centre == runs[-1].centre]
    run_s = max(run.run_s for run in last)
    processors = max(1, sum(math.ceil(run.cores - 1e-9) for run in last))
    one = last[-1]
    limit_s = max(one.time_limit_s, run_s)
    return TraceJob(one.job, one.tenant, one.submitted_at, run_s, limit_s, processors, one.centre)
