"""Jobs of a trace and how a schedule served them.

Times are seconds from any start that the trace chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace: when it came, what it asked for, how long it ran. run_s is at most time_limit_s."""

    id: str
    tenant: str
    submitted_at: float
    run_s: float
    time_limit_s: float
    processors: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in order of submission on a machine of so many processors."""

    name: str
    processors: int
    jobs: tuple[TraceJob, ...]


def bounded_slowdown(wait_s: float, run_s: float, tau_s: float = 10.0) -> float:
    """How many times longer the job took than it ran, short jobs counted as tau (Feitelson 1997); at least 1."""
    return max((wait_s + run_s) / max(run_s, tau_s), 1.0)


def metrics(trace: Trace, starts: Sequence[float]) -> dict[str, float]:
    """How a schedule served a trace; `starts` are in the order of the jobs.

    mean_bounded_slowdown, mean_wait_s, p95_wait_s, longest_wait_s; utilisation: percent of the processors' time from
    the first submission to the last end. Raises ValueError on no jobs.
    """
    if not trace.jobs:
        raise ValueError("the trace has no jobs")
    pairs = list(zip(trace.jobs, starts, strict=True))
    waits = sorted(start - job.submitted_at for job, start in pairs)
    work = sum(job.run_s * job.processors for job in trace.jobs)
    span = max(start + job.run_s for job, start in pairs) - trace.jobs[0].submitted_at
    slowdowns = sum(bounded_slowdown(start - job.submitted_at, job.run_s) for job, start in pairs)
    return {
        "mean_bounded_slowdown": slowdowns / len(pairs),
        "utilisation": 100.0 * work / (span * trace.processors) if span > 0 else 100.0,
        "mean_wait_s": sum(waits) / len(waits),
        "p95_wait_s": waits[min(len(waits) - 1, int(0.95 * len(waits)))],
        "longest_wait_s": waits[-1],
    }
