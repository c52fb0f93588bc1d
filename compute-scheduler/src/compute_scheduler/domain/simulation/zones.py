"""Which centre of a trace draws its electricity from which zone of a carbon series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compute_scheduler.domain.hourly import BadSeries, Hourly
from compute_scheduler.domain.simulation.costs import Costs
from compute_scheduler.domain.simulation.jobs import Trace

CARD_W = 400.0
"""A data-centre accelerator with its part of the machine around it; an assumption."""


def with_carbon(
    trace: Trace, zones: Mapping[str, Hourly], where: Mapping[str, str] | None = None, power_w: float = CARD_W
) -> Trace:
    """The trace with the carbon intensity of each centre; the series begins with the first submission.

    where: centre to zone. A centre that is not named there gets a zone by size: the largest the cleanest on average, as
    large centres are built where power is clean, and so on, beginning anew after the last zone. Neither logs nor series
    say where the clusters stand, so that is an assumption. Raises BadSeries on an unknown centre or zone.
    """
    where = where or {}
    for centre, zone in where.items():
        if centre not in trace.centres:
            raise BadSeries(f"{centre}: no such centre; there are {', '.join(sorted(trace.centres))}")
        if zone not in zones:
            raise BadSeries(f"{zone}: no such zone; there are {', '.join(zones)}")
    cleanest = sorted(zones, key=lambda zone: (sum(zones[zone].values) / len(zones[zone].values), zone))
    largest = sorted(trace.centres, key=lambda centre: (-trace.centres[centre], centre))
    begins = trace.jobs[0].submitted_at
    costs = {
        centre: Costs(
            power_w=power_w, carbon=Hourly(begins, zones[where.get(centre, cleanest[number % len(cleanest)])].values)
        )
        for number, centre in enumerate(largest)
    }
    return replace(trace, costs=costs)
