"""Jobs of a trace and how a schedule served them.

Times are seconds from any start that the trace chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compute_scheduler.domain.simulation.costs import Costs

MACHINE = "machine"


class BadTrace(ValueError):
    """A trace that cannot be read; the message names the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace: when it came, what it asked for, how long it ran, and where its data are.

    run_s is at most time_limit_s. processors: cores or accelerators, as the trace counts.
    """

    id: str
    tenant: str
    submitted_at: float
    run_s: float
    time_limit_s: float
    processors: int
    home: str = MACHINE


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in order of submission on centres of so many processors each.

    staging_s: how long a job's data take to another centre than its home; its processors wait for them.
    costs: by centre; one that is not there tells nothing.
    """

    name: str
    centres: dict[str, int]
    jobs: tuple[TraceJob, ...]
    staging_s: float = 0.0
    costs: Mapping[str, Costs] = field(default_factory=dict)

    @property
    def processors(self) -> int:
        """Of all centres."""
        return sum(self.centres.values())


@dataclass(frozen=True, slots=True)
class Served:
    """When and where a job started."""

    start_at: float
    centre: str = MACHINE


def bounded_slowdown(wait_s: float, run_s: float, tau_s: float = 10.0) -> float:
    """How many times longer the job took than it ran, short jobs counted as tau (Feitelson 1997); at least 1."""
    return max((wait_s + run_s) / max(run_s, tau_s), 1.0)


def metrics(trace: Trace, served: Sequence[Served]) -> dict[str, float]:
    """How a schedule served a trace; `served` is in the order of the jobs.

    mean_bounded_slowdown; mean_wait_s, p95_wait_s, longest_wait_s; utilisation: percent of the processors' time from
    the first submission to the last end (without staging). With several centres also mean_delay_s and p99_delay_s (wait
    and staging, which the slowdown then counts too) and moved_pct: jobs that did not run at home. Where all centres
    tell it also cost_yuan by price lists, electricity_yuan and co2_kg: of all processors from the start of their job to
    its end, so with the staging that they wait for. Raises ValueError on no jobs.
    """
    if not trace.jobs:
        raise ValueError("the trace has no jobs")
    pairs = list(zip(trace.jobs, served, strict=True))
    staging = [trace.staging_s if at.centre != job.home else 0.0 for job, at in pairs]
    waits = [at.start_at - job.submitted_at for job, at in pairs]
    delays = [wait + staged for wait, staged in zip(waits, staging, strict=True)]
    last = max(at.start_at + staged + job.run_s for (job, at), staged in zip(pairs, staging, strict=True))
    span = last - trace.jobs[0].submitted_at
    work = sum(job.run_s * job.processors for job in trace.jobs)
    found = {
        "mean_bounded_slowdown": _mean(
            [bounded_slowdown(d, job.run_s) for d, job in zip(delays, trace.jobs, strict=True)]
        ),
        "utilisation": 100.0 * work / (span * trace.processors) if span > 0 else 100.0,
        "mean_wait_s": _mean(waits),
        "p95_wait_s": _quantile(waits, 0.95),
        "longest_wait_s": max(waits),
    }
    if len(trace.centres) > 1:
        found |= {
            "mean_delay_s": _mean(delays),
            "p99_delay_s": _quantile(delays, 0.99),
            "moved_pct": 100.0 * sum(at.centre != job.home for job, at in pairs) / len(pairs),
        }
    held = [
        (job.processors, at.centre, at.start_at, at.start_at + staged + job.run_s)
        for (job, at), staged in zip(pairs, staging, strict=True)
    ]
    return found | _costs(trace, held)


def _costs(trace: Trace, held: Sequence[tuple[int, str, float, float]]) -> dict[str, float]:
    """Sums over what jobs held (processors, centre, from, until), each where every centre tells it."""
    told = [trace.costs.get(centre, Costs()) for centre in trace.centres]
    found = {}
    for name, of in (("cost_yuan", Costs.money), ("electricity_yuan", Costs.energy_money), ("co2_kg", Costs.co2_kg)):
        if all(of(costs, 0.0, 0.0) is not None for costs in told):
            found[name] = sum(
                number * (of(trace.costs[centre], start_at, end_at) or 0.0) for number, centre, start_at, end_at in held
            )
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
