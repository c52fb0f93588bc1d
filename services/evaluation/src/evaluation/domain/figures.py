"""Under which period a figure is kept, whatever period a reader has chosen.

A page speaks of one period, say October 2026. A stock then is that of the end of October, a sum over a year that of the
twelve months up to October, and what is known of the present moment only is just that. So a figure is computed once
for every month's end, and a quarter or a year finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from evaluation.domain.computations import Computation
from evaluation.domain.periods import Period

CURRENT = "current"
MONTHS_OF_A_YEAR = 12


def figure_period(computation: Computation, period: Period) -> str:
    """The text of the period under which the computation's figure for `period` is kept."""
    if computation.cadence == "current":
        return CURRENT
    if computation.cadence == "year":
        return (period if period.length == MONTHS_OF_A_YEAR else period.ending_here(MONTHS_OF_A_YEAR)).text
    return Period(period.last, period.last).text


def figure_periods(computation: Computation, periods: Iterable[Period]) -> list[str]:
    """The figures of a computation for several periods, each once, in order."""
    return list(dict.fromkeys(figure_period(computation, period) for period in periods))


def default_months(today: date, count: int) -> list[str]:
    """Month ends that are kept up to date: the last `count` whole months, and December of the two years before."""
    index = today.year * 12 + today.month - 1
    months = {f"{(index - back) // 12:04d}-{(index - back) % 12 + 1:02d}" for back in range(1, count + 1)}
    return sorted(months | {f"{today.year - back}-12" for back in (1, 2)})
