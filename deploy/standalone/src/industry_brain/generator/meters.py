"""Quarter-hourly meters of the demonstration enterprises: two weeks that fit the month's electricity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from industry_brain.generator.chain import Floats
from industry_brain.generator.firms import Firms
from industry_brain.generator.months import Panel
from industry_brain.generator.tables import table_of

DAYS, QUARTERS = 14, 96
METERS = ("M1", "M2")
SHARES = (0.65, 0.35)
UTC_OFFSET_H = 8


def meter_table(seed: int, firms: Firms, panel: Panel, firm: int, window: npt.NDArray[np.datetime64]) -> pa.Table:
    """enterprise.meter_15min of one enterprise: the last two weeks of the last month.

    The meters' sum is the month's electricity times the two weeks' share of the month's days.
    """
    rng = np.random.default_rng([seed, 6, firm])
    month_days = int(((window[-1].astype("datetime64[M]") + 1).astype("datetime64[D]") - window[-1]).astype(int))
    total = panel.electricity[firm, -1] * DAYS / month_days
    first_day = window[-1] + np.timedelta64(month_days - DAYS, "D")
    # Local midnight of the first day in UTC; a reading carries the end of its quarter hour.
    start = first_day.astype("datetime64[s]") - np.timedelta64(UTC_OFFSET_H, "h")
    ends = start + (np.arange(DAYS * QUARTERS) + 1) * np.timedelta64(15, "m")
    energy = [share * total * _load(rng, first_day) for share in SHARES]
    count = len(ends)
    kwh = np.concatenate(energy)
    factor = np.round(np.clip(rng.normal(92, 3, len(kwh)), 60, 100), 1)
    return table_of(
        "enterprise.meter_15min",
        {
            "uscc": np.repeat(firms.uscc[firm : firm + 1], len(kwh)),
            "meter_id": np.repeat(np.array(METERS, dtype=object), count),
            "ts": np.tile(ends, len(METERS)),
            "energy_kwh": np.round(kwh, 3),
            "reactive_kvarh": np.round(kwh * np.tan(np.arccos(factor / 100)), 3),
            "power_factor": factor,
        },
    )


def _load(rng: np.random.Generator, first_day: np.datetime64) -> Floats:
    """Shares of the two weeks' energy: two shifts, quiet nights and Sundays; they add up to one."""
    hour = np.arange(QUARTERS) / 4
    day = 0.35 + 0.65 * ((hour >= 7) & (hour < 23)) - 0.12 * ((hour >= 11.5) & (hour < 12.5))
    # 1970-01-01 was a Thursday, so Sundays are the days whose number is 3 modulo 7.
    sunday = (first_day.astype("datetime64[D]").astype(int) + np.arange(DAYS)) % 7 == 3
    shape = np.where(sunday[:, None], 0.4, day[None, :]) * rng.lognormal(0, 0.06, (DAYS, QUARTERS))
    return np.asarray((shape / shape.sum()).ravel())
