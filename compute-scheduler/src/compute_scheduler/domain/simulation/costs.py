"""What time on the processors of a centre costs in a replay, and how it is handed to the replaying process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute_scheduler.domain.hourly import HOUR_S, Hourly
from compute_scheduler.domain.siting import JOULE_PER_KWH
from compute_scheduler.domain.snapshot import Centre
from compute_scheduler.domain.tariffs import Period, Tariff

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a processor of a centre costs while a job holds it; None: not told.

    price: yuan an hour. power_w: watts. electricity: yuan a kWh, and carbon: gCO2/kWh, by the time of the trace.
    """

    price: float | None = None
    power_w: float | None = None
    electricity: Hourly | Tariff | None = None
    carbon: Hourly | None = None

    def money(self, start_at: float, end_at: float) -> float | None:
        """Yuan by the price list between two times."""
        return None if self.price is None else self.price * (end_at - start_at) / HOUR_S

    def energy_money(self, start_at: float, end_at: float) -> float | None:
        """Yuan for electricity between two times."""
        if self.power_w is None or self.electricity is None:
            return None
        return self.power_w * self.electricity.integral_s(start_at, end_at) / JOULE_PER_KWH

    def co2_kg(self, start_at: float, end_at: float) -> float | None:
        """Emissions between two times."""
        if self.power_w is None or self.carbon is None:
            return None
        return self.power_w * self.carbon.integral_s(start_at, end_at) / JOULE_PER_KWH / 1000.0


def costs_of(centre: Centre) -> Costs:
    """What a centre tells of its cores."""
    return Costs(centre.prices.get("cores"), centre.power_w.get("cores"), centre.electricity, centre.carbon)


def as_json(costs: Costs) -> Json:
    """Costs as they go into a file."""
    electricity: Any = None
    if isinstance(costs.electricity, Tariff):
        electricity = [[list(p.months), p.start, p.until, p.kind, p.price] for p in costs.electricity.periods]
    elif costs.electricity is not None:
        electricity = _series(costs.electricity)
    carbon = None if costs.carbon is None else _series(costs.carbon)
    return {"price": costs.price, "power_w": costs.power_w, "electricity": electricity, "carbon": carbon}


def from_json(found: Mapping[str, Any]) -> Costs:
    """The same read again."""
    told, carbon = found["electricity"], found["carbon"]
    electricity: Hourly | Tariff | None = None
    if isinstance(told, list):
        electricity = Tariff(tuple(Period(tuple(months), *rest) for months, *rest in told))
    elif told is not None:
        electricity = Hourly(told["start_at"], tuple(told["values"]))
    series = None if carbon is None else Hourly(carbon["start_at"], tuple(carbon["values"]))
    return Costs(found["price"], found["power_w"], electricity, series)


def _series(series: Hourly) -> Json:
    return {"start_at": series.start_at, "values": list(series.values)}
