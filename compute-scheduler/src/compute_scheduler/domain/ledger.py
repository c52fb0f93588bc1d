"""What a stretch of work costs: exact whole numbers, cut where prices change, two sides that sum to zero.

Money is counted in millionths of a yuan (CNY), so that no sum depends on its order. Quantities are those of
`ledger_item`: millionths of core seconds, thousandths of MB seconds, thousandths of accelerator seconds, bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from compute_scheduler.domain.hourly import Hourly

MICRO = 1_000_000
GIB = 1 << 30
ANY = "*"
ACCELERATOR = "accelerator:"
# Whoever runs the centre answers for these: nobody can say how the work ended, or it never began.
PROVIDERS_FAULT = frozenset({"lost", "returned"})
# The platform took the place back for others: the work is lost, and not by the tenant's doing.
TAKEN_BACK = frozenset({"preempted"})
Charge = Literal["charged", "providers_fault", "taken_back", "no_price_list"]
_PRICE = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of one version in millionths of a yuan; accelerator_hour by kind, `*` for any other.

    centre: '' for every centre that has no list of its own.
    """

    id: str
    centre: str
    valid_from: datetime
    core_hour: int = 0
    gib_hour: int = 0
    gb_moved: int = 0
    accelerator_hour: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnergyFactors:
    """Power of one core and of one accelerator in milliwatts, PUE in thousandths, carbon in mg a kWh if known.

    The fixed carbon value holds for centres without an hourly series.
    """

    valid_from: datetime
    core_mw: int
    accelerator_mw: Mapping[str, int]
    pue_milli: int
    carbon_mg_kwh: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one ended attempt held, from one moment to another; quantities as in the module's description."""

    started_at: datetime
    ended_at: datetime
    wall_ms: int
    core: int
    memory: int
    accelerators: Mapping[str, int] = field(default_factory=dict)
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One resource of a stretch; price None: the price list has none, so that it costs nothing and the line says so."""

    resource: str
    quantity: int
    price: int | None
    amount: int


def micro_of(text: str) -> int:
    """Millionths of a yuan of a decimal such as `0.125`. Raises ValueError for anything else, over 6 decimals too."""
    if not _PRICE.fullmatch(text):
        raise ValueError('应为不为负的十进制数，最多 5 位整数、6 位小数，写成字符串，例如 "0.125"')
    return int(Decimal(text) * MICRO)


def yuan(micro: int) -> str:
    """The amount as an exact decimal with six places."""
    sign = "-" if micro < 0 else ""
    return f"{sign}{abs(micro) // MICRO}.{abs(micro) % MICRO:06d}"


def fen(micro: int) -> str:
    """The amount rounded to fen, half to even, as it is paid; both sides of a posting round alike."""
    cents = _rounded(micro, MICRO // 100)
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def charge_of(outcome: str, prices: PriceList | None) -> Charge:
    """Whether a stretch is paid for, and why not."""
    if outcome in PROVIDERS_FAULT:
        return "providers_fault"
    if outcome in TAKEN_BACK:
        return "taken_back"
    return "charged" if prices is not None else "no_price_list"


def in_force(lists: Iterable[PriceList], centre: str, moment: datetime) -> PriceList | None:
    """The centre's own newest list at a moment, else the newest of those for all centres, else None."""
    valid = [one for one in lists if one.valid_from <= moment and one.centre in ("", centre)]
    return max(valid, key=lambda one: (one.centre != "", one.valid_from), default=None)


def factors_at(factors: Iterable[EnergyFactors], moment: datetime) -> EnergyFactors | None:
    """A centre's newest factors at a moment, None when there are none yet."""
    valid = [one for one in factors if one.valid_from <= moment]
    return max(valid, key=lambda one: one.valid_from, default=None)


def cut(usage: Usage, moments: Iterable[datetime]) -> list[Usage]:
    """The usage in stretches that end at the moments which lie inside it; quantities by time, their sums unchanged."""
    inner = sorted({at for at in moments if usage.started_at < at < usage.ended_at})
    if not inner:
        return [usage]
    edges = [usage.started_at, *inner, usage.ended_at]
    span = usage.ended_at - usage.started_at
    parts = [Fraction(0)]
    parts += [Fraction((at - usage.started_at) // _TICK, span // _TICK) for at in inner]
    parts.append(Fraction(1))

    def share(quantity: int, place: int) -> int:
        return int(quantity * parts[place + 1]) - int(quantity * parts[place])

    return [
        Usage(
            edges[place],
            edges[place + 1],
            share(usage.wall_ms, place),
            share(usage.core, place),
            share(usage.memory, place),
            {kind: share(quantity, place) for kind, quantity in usage.accelerators.items()},
            share(usage.moved, place),
        )
        for place in range(len(edges) - 1)
    ]


def priced(usage: Usage, prices: PriceList | None, charge: Charge) -> list[Item]:
    """The stretch item by item; what is not charged keeps its quantities and costs nothing."""
    used = [("core", usage.core), ("memory", usage.memory)]
    used += [(ACCELERATOR + kind, quantity) for kind, quantity in sorted(usage.accelerators.items())]
    used += [("moved", usage.moved)] if usage.moved else []
    return [item_of(resource, quantity, prices, charge) for resource, quantity in used]


def item_of(resource: str, quantity: int, prices: PriceList | None, charge: Charge) -> Item:
    """So much of one resource at the prices of a list, rounded once; 0 where it is not charged."""
    price = _price(resource, prices) if prices else None
    paid = (price or 0) if charge == "charged" else 0
    if resource == "memory":  # a MB is 10^6 bytes, a GiB 2^30
        return Item(resource, quantity, price, _rounded(quantity * paid * 1000, 3600 * GIB))
    divisor = {"core": 3600 * MICRO, "moved": 10**9}.get(resource, 3600 * 1000)
    return Item(resource, quantity, price, _rounded(quantity * paid, divisor))


def energy_uwh(usage: Usage, factors: EnergyFactors | None) -> int | None:
    """Microwatt-hours of a stretch with the centre's overhead (PUE), None when its factors are not known."""
    if factors is None:
        return None
    table = factors.accelerator_mw
    power = Fraction(usage.core * factors.core_mw, MICRO)
    for kind, quantity in usage.accelerators.items():
        power += Fraction(quantity * table.get(kind, table.get(ANY, 0)), 1000)
    return round(power * factors.pue_milli / 3600)


def carbon_mg_kwh(
    usage: Usage, factors: EnergyFactors | None, series: Iterable[tuple[datetime, Hourly]] = ()
) -> int | None:
    """Mean carbon intensity of a stretch: by the newest hourly series (gCO2/kWh) that was there when it ended, else
    the fixed value of the factors; None when neither is known.
    """
    known = [hourly for added_at, hourly in series if added_at <= usage.ended_at]
    if not known:
        return factors.carbon_mg_kwh if factors else None
    start, end = usage.started_at.timestamp(), usage.ended_at.timestamp()
    mean = known[-1].integral_s(start, end) / (end - start) if end > start else known[-1].at(end)
    return round(mean * 1000)


def carbon_ug(energy: int | None, mg_kwh: int | None) -> int | None:
    """Micrograms of CO2 of so many microwatt-hours, None when either is not known."""
    return None if energy is None or mg_kwh is None else _rounded(energy * mg_kwh, MICRO)


def sides(org: str, owner: str, amount: int) -> list[tuple[str, str, str, str, int]]:
    """(side, org, counterparty, ownership, amount) of both sides: the tenant pays, the centre's owner is paid."""
    ownership = "own" if org == owner else "borrowed"
    return [("tenant", org, owner, ownership, -amount), ("centre", owner, org, ownership, amount)]


def next_open(month: str, closed: Sequence[str] | frozenset[str] | set[str]) -> str:
    """The month itself, or the first after it that is not closed."""
    while month in closed:
        month = following(month)
    return month


def following(month: str) -> str:
    """The month after `YYYY-MM`."""
    number = int(month[:4]) * 12 + int(month[5:])
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _price(resource: str, prices: PriceList) -> int | None:
    kinds = prices.accelerator_hour
    plain = {"core": prices.core_hour, "memory": prices.gib_hour, "moved": prices.gb_moved}
    return plain[resource] if resource in plain else kinds.get(resource.removeprefix(ACCELERATOR), kinds.get(ANY))


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient to the nearest whole number, half to even; denominator > 0."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest - denominator
    return whole + (twice > 0 or (twice == 0 and whole % 2 == 1))


_TICK = datetime.resolution
