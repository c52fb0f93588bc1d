"""What a centre tells of its costs, as the plan weighs it, and what a start cost, as it is kept with the attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from compute_scheduler.domain import ledger as rules
from compute_scheduler.domain.decisions import Site, Start
from compute_scheduler.domain.hourly import Hourly, constant
from compute_scheduler.domain.ledger import GIB, MICRO, EnergyFactors, PriceList
from compute_scheduler.domain.snapshot import Centre, CentreState
from compute_scheduler.service import carbon
from compute_scheduler.service.tariffs import Tariffs
from compute_scheduler.store import ledger

Row = dict[str, Any]
MB = 10**6
TERMS = ("staging_s", "money_yuan", "energy_kwh", "energy_yuan", "co2_kg", "score_s")


@dataclass(frozen=True)
class Told:
    """What all centres tell at a moment."""

    lists: Mapping[str, PriceList]
    factors: Mapping[str, list[EnergyFactors]]
    carbon: Mapping[str, Hourly]
    tariffs: Tariffs = field(default_factory=Tariffs)

    @classmethod
    def load(cls, session: Session) -> Told:
        """Reads it."""
        lists, factors = ledger.all_price_lists(session), ledger.all_energy_factors(session)
        return cls(lists, factors, carbon.in_force(session), Tariffs.load(session))


def centre_of(row: Row, state: CentreState, told: Told, now: datetime) -> Centre:
    """A centre with the price list and energy factors that are in force; what is not told stays empty.

    Carbon by the hour goes before the one figure of the energy factors.
    """
    prices = rules.in_force(told.lists.values(), row["id"], now)
    energy = rules.factors_at(told.factors.get(row["id"], []), now)
    series = told.carbon.get(row["id"])
    if series is None and energy and energy.carbon_mg_kwh is not None:
        series = constant(energy.carbon_mg_kwh / 1000.0)
    return Centre(
        row["id"],
        row["title"],
        state,
        prices=_prices(prices) if prices else {},
        power_w=_power_w(energy) if energy else {},
        carbon=series,
        electricity=told.tariffs.at(row["id"], now),
    )


def kept(start: Start) -> Row | None:
    """Why here and what it costs, for the attempt: the terms, and those of other centres where they were weighed."""
    if start.site is None:
        return None
    return {**terms(start.site), "others": [{"centre": site.centre, **terms(site)} for site in start.others]}


def terms(site: Site) -> Row:
    """What a centre costs a job, as the API gives it; None: the centre does not tell."""
    values = (site.staging_s, site.money, site.energy_kwh, site.energy_yuan, site.co2_kg, site.score_s)
    return {name: None if value is None else round(value, 6) for name, value in zip(TERMS, values, strict=True)}


def _prices(prices: PriceList) -> dict[str, float]:
    """Yuan an hour by resource name."""
    memory = prices.gib_hour / MICRO * MB / GIB
    kinds = {kind: price / MICRO for kind, price in prices.accelerator_hour.items()}
    return {"cores": prices.core_hour / MICRO, "memory_mb": memory, **kinds}


def _power_w(energy: EnergyFactors) -> dict[str, float]:
    """Watts by resource name, with the overhead of the centre (PUE)."""
    overhead = energy.pue_milli / 1000.0
    kinds = {kind: milliwatts / 1000.0 * overhead for kind, milliwatts in energy.accelerator_mw.items()}
    return {"cores": energy.core_mw / 1000.0 * overhead, **kinds}
