"""Figures of each enterprise and month: operation and energy that agree with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from industry_brain.generator.chain import Floats, Ints, chain_nodes
from industry_brain.generator.firms import Bools, Firms
from industry_brain.generator.tables import table_of, texts

SEASON = np.array([0.92, 0.74, 1.05, 1.02, 1.02, 1.08, 0.97, 0.97, 1.04, 1.02, 1.06, 1.11])  # January first
ORDER_LEAD_MONTHS = 2
HEAT_INTENSIVE_KWH = 800  # nodes above use gas and coal too
OTHER_KWH, OTHER_GROWTH = 60.0, 0.04
# GB/T 2589-2020, standard coal equivalent: kg a kWh (equal value), a m3 of natural gas, a kg of raw coal, a MJ of heat
TCE_PER_MWH, TCE_PER_1000_M3, TCE_PER_T_COAL, TCE_PER_GJ = 0.1229, 1.33, 0.7143, 0.03412


@dataclass(frozen=True)
class Panel:
    """Figures as arrays of enterprises by months; money in 10,000 CNY; `active` marks the months of activity."""

    months: list[str]
    active: Bools
    revenue: Floats
    output: Floats
    orders: Floats
    electricity: Floats


def make_panel(seed: int, firms: Firms, window: npt.NDArray[np.datetime64]) -> Panel:
    """Revenue from size, growth, season and shocks; output and electricity from revenue, orders ahead of it."""
    rng = np.random.default_rng([seed, 3])
    count, months = len(firms), len(window)
    ahead = months + ORDER_LEAD_MONTHS
    number = window[0].astype("datetime64[M]").astype(int) + np.arange(ahead)
    growth = np.array([node.growth for node in chain_nodes()] + [OTHER_GROWTH])[firms.node]
    growth = np.asarray(growth + rng.normal(0, 0.08, count))
    level = firms.annual[:, None] / 12 * np.exp(growth[:, None] * np.arange(ahead) / 12)
    level = level * SEASON[number % 12] * rng.lognormal(0, 0.1, (count, ahead))
    level *= _chain_shock(firms.node, ahead) * _own_shocks(rng, count, ahead)
    revenue = level[:, :months]
    output = revenue * rng.normal(1.02, 0.02, (count, months))
    intensity = np.array([node.kwh_per_10k for node in chain_nodes()] + [OTHER_KWH])[firms.node]
    intensity = np.asarray(intensity * rng.lognormal(0, 0.25, count))
    position = np.arange(months)
    return Panel(
        months=[str(month) for month in window.astype("datetime64[M]")],
        active=(position >= firms.first[:, None]) & (position < firms.last[:, None]),
        revenue=revenue,
        output=output,
        orders=level[:, ORDER_LEAD_MONTHS:] * rng.lognormal(0, 0.05, (count, months)),
        electricity=output * intensity[:, None] * rng.normal(1, 0.03, (count, months)),
    )


def _chain_shock(node: Ints, months: int) -> Floats:
    """Foundries lose a fifth for three months a year before the end, what they supply a sixteenth a month later."""
    stages = [item.stage for item in chain_nodes()]
    castings = np.array([item.name in ("铸铁铸钢件", "机床床身铸件") for item in chain_nodes()] + [False])[node]
    users = np.array([stage in ("零部件", "整机") for stage in stages] + [False])[node] & ~castings
    factor = np.ones((len(node), months))
    start = max(0, months - ORDER_LEAD_MONTHS - 13)
    factor[np.ix_(castings, np.arange(start, min(start + 3, months)))] = 0.8
    factor[np.ix_(users, np.arange(min(start + 1, months), min(start + 4, months)))] = 0.94
    return factor


def _own_shocks(rng: np.random.Generator, count: int, months: int) -> Floats:
    """Six enterprises in a hundred lose about half of three months."""
    hit = rng.random(count) < 0.06
    start = rng.integers(0, months, count)[:, None]
    during = (np.arange(months) >= start) & (np.arange(months) < start + 3) & hit[:, None]
    return np.where(during, rng.uniform(0.3, 0.6, count)[:, None], 1.0)


def monthly_table(seed: int, firms: Firms, panel: Panel, chosen: Bools) -> pa.Table:
    """enterprise.enterprise_monthly of the chosen enterprises."""
    rng = np.random.default_rng([seed, 4])
    count, months = panel.revenue.shape
    margin = rng.normal(0.065, 0.05, (count, 1)) + rng.normal(0, 0.02, (count, months))
    marked = np.array([honour is not None for honour in firms.honour.tolist()])
    research = np.where(marked, rng.uniform(0.03, 0.09, count), rng.uniform(0, 0.035, count))
    export = np.where(rng.random(count) < 0.22, rng.uniform(0.05, 0.5, count), 0.0)
    heads = firms.annual / rng.lognormal(np.log(85), 0.35, count)
    people = np.maximum(3, heads[:, None] * np.exp(0.02 * np.arange(months) / 12))
    stock = panel.output * rng.lognormal(np.log(1.4), 0.3, (count, 1))
    keep = panel.active & chosen[:, None]
    firm, month = np.nonzero(keep)

    def money(values: Floats) -> Floats:
        return np.round(np.broadcast_to(values, keep.shape)[keep], 2)

    return table_of(
        "enterprise.enterprise_monthly",
        {
            "uscc": texts(firms.uscc, firm),
            "month": texts(np.array(panel.months, dtype=object), month),
            "revenue_10k_cny": money(panel.revenue),
            "output_10k_cny": money(panel.output),
            "profit_10k_cny": money(panel.revenue * margin),
            "tax_10k_cny": money(panel.revenue * 0.036),
            "rd_expense_10k_cny": money(panel.revenue * research[:, None]),
            "employees": np.round(people[keep]).astype(np.int64),
            "orders_10k_cny": money(panel.orders),
            "inventory_10k_cny": money(stock),
            "export_10k_cny": money(panel.revenue * export[:, None]),
            "electricity_kwh": np.round(panel.electricity[keep], 1),
        },
    )


def region_table(seed: int, firms: Firms, panel: Panel) -> pa.Table:
    """public.region_yearly: the output of a county's enterprises in a year, and one to two times as much of others.

    A year of which the window has some months only is scaled to twelve.
    """
    rng = np.random.default_rng([seed, 6])
    year = np.array([int(month[:4]) for month in panel.months])
    regions, place = np.unique(firms.region.astype(str), return_inverse=True)
    years, counts = np.unique(year, return_counts=True)
    output = np.where(panel.active, panel.output, 0.0)
    rows = []
    for number, count in zip(years.tolist(), counts.tolist(), strict=True):
        own = np.bincount(place, output[:, year == number].sum(axis=1), len(regions)) * 12 / count
        rows.append(np.round(own * rng.uniform(2, 3, len(regions)), 0))
    return table_of(
        "public.region_yearly",
        {
            "region": regions.tolist() * len(years),
            "year": np.repeat(years, len(regions)),
            "output_10k_cny": np.concatenate(rows),
        },
    )


def energy_table(seed: int, firms: Firms, panel: Panel) -> pa.Table:
    """public.energy_monthly; electricity is what the enterprises report, other carriers follow from heat-intensity."""
    rng = np.random.default_rng([seed, 5])
    count = len(firms)
    hot = np.array([node.kwh_per_10k >= HEAT_INTENSIVE_KWH for node in chain_nodes()] + [False])[firms.node]
    gas = np.where(hot | (rng.random(count) < 0.25), rng.uniform(0.01, 0.05, count), 0.0)[:, None] * panel.electricity
    coal = np.where(hot & (rng.random(count) < 0.3), rng.uniform(0.00002, 0.00008, count), 0.0)[:, None]
    coal = coal * panel.electricity
    steam = np.where(rng.random(count) < 0.12, rng.uniform(0.0005, 0.002, count), 0.0)[:, None] * panel.electricity
    firm, month = np.nonzero(panel.active)
    electricity = np.round(panel.electricity[panel.active], 1)
    carriers: dict[str, Floats] = {
        "gas_m3": np.round(gas[panel.active], 1),
        "coal_t": np.asarray(np.round(coal[panel.active], 3), dtype=np.float64),
        "steam_gj": np.round(steam[panel.active], 2),
    }
    total = (
        electricity / 1000 * TCE_PER_MWH
        + carriers["gas_m3"] / 1000 * TCE_PER_1000_M3
        + carriers["coal_t"] * TCE_PER_T_COAL
        + carriers["steam_gj"] * TCE_PER_GJ
    )
    return table_of(
        "public.energy_monthly",
        {
            "uscc": texts(firms.uscc, firm),
            "month": texts(np.array(panel.months, dtype=object), month),
            "electricity_kwh": electricity,
            **carriers,
            "coal_equivalent_tce": np.round(total, 3),
        },
    )
