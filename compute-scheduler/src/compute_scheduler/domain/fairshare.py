"""Fair share by dominant resource over usage that is forgotten by halves.

A tenant's share of one resource is what it holds now plus the mean of what it held in the past, the past weighing half
as much after each half-life, as a part of all there is; its dominant share is the largest of these (Ghodsi et al.,
NSDI 2011), divided by its weight. A tenant that always held a part p has the share 2p; one that comes new has 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Usage


def decayed(usage: Usage, at: float, half_life_s: float) -> dict[str, float]:
    """What is left of the usage at a time, resource seconds by name; a time before `as_of` leaves it whole."""
    factor = 2.0 ** (-max(at - usage.as_of, 0.0) / half_life_s)
    return {name: amount * factor for name, amount in usage.resource_s.items()}


def accrued(usage: Usage, held: Resources, started_at: float, ended_at: float, half_life_s: float) -> Usage:
    """The usage after a tenant held something from one time to another, as of the later of `as_of` and `ended_at`.

    What was held at t counts 2^(-(as_of - t) / half_life_s) (the integral over the segment), so the order in which
    segments arrive has no meaning. Raises ValueError when the segment ends before it starts.
    """
    if ended_at < started_at:
        raise ValueError("a segment of usage ends before it starts")
    as_of = max(usage.as_of, ended_at)
    tau_s = half_life_s / math.log(2.0)
    seconds = tau_s * (2.0 ** ((ended_at - as_of) / half_life_s) - 2.0 ** ((started_at - as_of) / half_life_s))
    amounts = decayed(usage, as_of, half_life_s)
    for name, amount in held.amounts().items():
        if amount:
            amounts[name] = amounts.get(name, 0.0) + amount * seconds
    return Usage(usage.tenant, as_of, amounts)


def mean_past(usage: Usage, at: float, half_life_s: float) -> dict[str, float]:
    """What the tenant held in the past on average, by resource name: the decayed usage over half-life / ln 2."""
    tau_s = half_life_s / math.log(2.0)
    return {name: amount / tau_s for name, amount in decayed(usage, at, half_life_s).items()}


def dominant_share(
    past: Mapping[str, float], held: Mapping[str, float], total: Mapping[str, float], weight: float
) -> float:
    """The largest part of any resource that a tenant has, past and present, over its weight.

    All three by resource name in the same units; resources that nobody has are passed over.
    """
    share = 0.0
    for name, amount in total.items():
        if amount > 0:
            share = max(share, (past.get(name, 0.0) + held.get(name, 0.0)) / amount)
    return share / weight
