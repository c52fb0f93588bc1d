"""Fair share under bursts: fifty tenants of equal weight on one machine, five of which submit in bursts, ten seeds.

Made-up work (合成数据), more than the machine can do: forty-five tenants submit 1.5 times their fair share at random
times; five submit five times theirs in bursts of five to ten days' worth at once, the first of each in the first half
day. Jobs take 1 to 4 of 200 processors for minutes to half a day and ask for up to three times as long.

Looked at every six hours from the third day to the last submission, by a reckoning of its own (not the plan's):
- decayed share: what a tenant has used, past use counting half after a day, as a part of what all have used;
- Jain index of the shares (Jain et al. 1984): 1 when all are equal, 1/50 when one has all; the mean over time;
- share debt: how far the tenant worst off is below its fair share while it has had work waiting for a day.

The reference is EASY backfilling first come first served on the same jobs in the same run.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.jobs import MACHINE, Served, Trace, TraceJob, metrics
from compute_scheduler.domain.simulation.policies import POLICIES
from compute_scheduler.domain.simulation.run import simulate

TENANTS, BURSTING, PROCESSORS, SEEDS = 50, 5, 200, 10
HOUR, DAY = 3600.0, 86_400.0
DAYS = 5
HALF_LIFE_S = DAY
FAIR_S = PROCESSORS / TENANTS * DAY
"""Processor seconds a day to which each tenant is entitled."""


def run() -> dict[str, Any]:
    """Mean and 95 % confidence interval over the seeds, ours and EASY."""
    policy = replace(POLICIES["fair-share"], half_life_s=HALF_LIFE_S)
    found: dict[str, list[tuple[float, float, float]]] = {"fair share": [], "EASY": []}
    for seed in range(1, SEEDS + 1):
        trace = made_up(seed)
        for name, served in (("fair share", simulate(trace, policy)), ("EASY", easy(trace))):
            found[name].append((*fairness(trace, served), metrics(trace, served)["utilisation"]))
    figures: dict[str, Any] = {}
    for name, rows in found.items():
        jain, debt, utilisation = zip(*rows, strict=True)
        bound = 0.95 if name == "fair share" else None
        figures[f"{name}: Jain index of decayed share"] = _mean(jain, "", bound)
        figures[f"{name}: Jain index, least of {SEEDS} seeds"] = {"value": min(jain), "bound": bound}
        figures[f"{name}: largest share debt"] = _mean(debt, "%")
        figures[f"{name}: utilisation"] = _mean(utilisation, "%")
    return figures


def _mean(values: Sequence[float], unit: str, bound: float | None = None) -> dict[str, Any]:
    half = 2.262 * statistics.stdev(values) / math.sqrt(len(values))  # Student, 9 degrees of freedom
    return {
        "value": statistics.fmean(values),
        "unit": unit,
        "bound": bound,
        "note": f"± {half:.3f}, {len(values)} seeds",
    }


def made_up(seed: int) -> Trace:
    """The work of one seed."""
    rng = random.Random(seed)
    jobs: list[tuple[float, str, float, float, int]] = []
    for number in range(TENANTS):
        tenant = f"tenant-{number:02}"
        left = all_of_it = FAIR_S * DAYS * (5.0 if number < BURSTING else 1.5)
        while left > 0:
            size = FAIR_S * 5.0 * rng.uniform(1.0, 2.0) if number < BURSTING else 0.0
            burst_at, done = rng.uniform(0.0, DAYS * DAY if left < all_of_it else DAY / 2), 0.0
            while done <= size and left > 0:
                run_s = min(max(rng.lognormvariate(math.log(2 * HOUR), 1.2), 60.0), DAY / 2)
                processors = rng.choice([1, 1, 2, 2, 4])
                done, left = done + run_s * processors, left - run_s * processors
                jobs.append((burst_at, tenant, run_s, run_s * rng.uniform(1.0, 3.0), processors))
    jobs.sort()
    made = tuple(TraceJob(f"{n:06}", job[1], job[0], *job[2:]) for n, job in enumerate(jobs))
    return Trace(f"fairness-{seed}", {MACHINE: PROCESSORS}, made)


def fairness(trace: Trace, served: Sequence[Served]) -> tuple[float, float]:
    """Mean Jain index of the decayed shares, and the largest share debt in percent of the fair share."""
    jains, debts = [], []
    for at in (2 * DAY + 6 * HOUR * step for step in range(int((DAYS - 2) * DAY / (6 * HOUR)))):
        used = dict.fromkeys(sorted({job.tenant for job in trace.jobs}), 0.0)
        short = dict.fromkeys(used, False)
        for job, start in zip(trace.jobs, served, strict=True):
            if job.submitted_at > at:
                break
            if start.start_at < at:
                ended = min(start.start_at + job.run_s, at)
                used[job.tenant] += job.processors * (_weight(ended - at) - _weight(start.start_at - at))
            elif job.submitted_at < at - DAY:
                short[job.tenant] = True
        total = sum(used.values())
        jains.append(total**2 / (TENANTS * sum(amount**2 for amount in used.values())))
        debts += [1 - TENANTS * amount / total for tenant, amount in used.items() if short[tenant]]
    return statistics.fmean(jains), 100 * max(debts, default=0.0)


def _weight(since_s: float) -> float:
    """The integral of what use counts, up to a moment so long ago (a number under zero)."""
    return float(2.0 ** (since_s / HALF_LIFE_S))
