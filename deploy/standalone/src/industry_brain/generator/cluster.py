"""The cluster: every data set, who pushes it, and the definition of the chain built from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from brain_contracts.codes import check_month

from industry_brain.generator import indicators, records
from industry_brain.generator.chain import CHAIN_ID, CHAIN_NAME
from industry_brain.generator.firms import Firms, enterprise_table, make_firms
from industry_brain.generator.meters import meter_table
from industry_brain.generator.months import Panel, energy_table, make_panel, monthly_table, region_table
from industry_brain.generator.organisations import Org, authorities

SYNTHETIC_LABEL = "合成数据"
FEWEST_ENTERPRISES, MOST_ENTERPRISES, MOST_MONTHS = 20, 200_000, 240


@dataclass(frozen=True)
class Cluster:
    """A generated cluster; tables are made when they are asked for."""

    seed: int
    window: npt.NDArray[np.datetime64]
    firms: Firms
    panel: Panel

    def organisations(self) -> list[Org]:
        """The organisations that push: departments, the provider, three enterprises."""
        return [*authorities().values(), *self._demo_organisations()]

    def datasets(self) -> Iterator[tuple[str, str, pa.Table]]:
        """(data set, USCC of the organisation that pushes it, rows); no row is pushed by two organisations."""
        by_role = authorities()
        for role, dataset, table in self._authority_tables():
            yield dataset, by_role[role].uscc, table
        for firm in self.firms.demo().tolist():
            owner = self.firms.uscc[firm]
            chosen = np.arange(len(self.firms)) == firm
            yield "enterprise.enterprise_monthly", owner, monthly_table(self.seed, self.firms, self.panel, chosen)
            yield "enterprise.meter_15min", owner, meter_table(self.seed, self.firms, self.panel, firm, self.window)
        # Last, so that the pushes of a demonstration loaded before keep their numbers.
        yield "public.region_yearly", by_role["statistics"].uscc, region_table(self.seed, self.firms, self.panel)

    def chain_definition(self) -> dict[str, Any]:
        """The body of PUT /api/government-services/v1/chains/{id}."""
        where = f"chain_id = '{CHAIN_ID}'"
        return {
            "id": CHAIN_ID,
            "name": CHAIN_NAME,
            "synthetic": True,
            "region": "3703",
            "compare_region": "37",
            "nodes": {
                "dataset": "industry.chain_node", "id": "node_id", "name": "name", "stage": "stage",
                "stage_order": "stage_order", "where": where,
            },
            "links": {
                "dataset": "industry.chain_edge", "from": "from_node_id", "to": "to_node_id", "weight": "weight",
                "where": where,
            },
            "enterprises": {
                "dataset": "public.enterprise", "id": "uscc", "name": "name", "region": "region",
                "attributes": {"scale": "scale", "honour_level": "honour_level", "is_chain_leader": "is_chain_leader"},
            },
            "members": {"dataset": "industry.product", "enterprise": "uscc", "node": "node_id", "where": where},
            "measures": {
                "revenue": {
                    "dataset": "enterprise.enterprise_monthly", "enterprise": "uscc", "value": "revenue_10k_cny",
                    "month": "month", "unit": "万元", "title": "营业收入", "window_months": 12,
                },
                "electricity": {
                    "dataset": "public.energy_monthly", "enterprise": "uscc", "value": "electricity_kwh",
                    "month": "month", "unit": "千瓦时", "title": "用电量", "window_months": 12,
                },
            },
        }  # fmt: skip

    def evaluation_clusters(self) -> dict[str, dict[str, Any]]:
        """Id to body of PUT /api/evaluation/v1/clusters/{id}: the chain in the city, and in its largest county."""
        counties = [region for region in self.firms.region if region.startswith("3703")]
        county = max(sorted(set(counties)), key=counties.count)
        common = {"chain": CHAIN_ID, "synthetic": True}
        return {
            "demo-city": {"name": f"示例市{CHAIN_NAME}集群", "region": "3703"} | common,
            "demo-county": {"name": f"示例区县{CHAIN_NAME}集群", "region": county} | common,
        }

    @property
    def last_year(self) -> str:
        """The year of the last month, YYYY."""
        return str(self.window[-1])[:4]

    def _demo_organisations(self) -> list[Org]:
        firms = self.firms
        return [
            Org(firms.uscc[firm], firms.name[firm], "enterprise", firms.region[firm], f"enterprise_{number}")
            for number, firm in enumerate(firms.demo().tolist(), 1)
        ]

    def _authority_tables(self) -> Iterator[tuple[str, str, pa.Table]]:
        """(role, data set, rows), small tables first, so that a chain shows before its figures are complete."""
        seed, firms = self.seed, self.firms
        yield "industry", "industry.chain_node", records.chain_node_table()
        yield "industry", "industry.chain_edge", records.chain_edge_table()
        yield "market", "public.enterprise", enterprise_table(seed, firms)
        yield "industry", "industry.product", records.product_table(seed, firms)
        for role, dataset, table in records.tables(seed, firms, self.window):
            yield role, dataset, table
        for role, dataset, table in indicators.tables(seed, firms, self.window):
            yield role, dataset, table
        others = np.ones(len(firms), dtype=bool)
        others[firms.demo()] = False
        yield "statistics", "enterprise.enterprise_monthly", monthly_table(seed, firms, self.panel, others)
        yield "power", "public.energy_monthly", energy_table(seed, firms, self.panel)


def generate(seed: int = 1, enterprises: int = 2000, months: int = 36, end: str = "2026-10") -> Cluster:
    """A synthetic cluster of so many enterprises and months up to `end` (YYYY-MM).

    Raises ValueError when an argument is out of range.
    """
    if seed < 0:
        raise ValueError("seed must not be negative")
    if not FEWEST_ENTERPRISES <= enterprises <= MOST_ENTERPRISES:
        raise ValueError(f"enterprises must be {FEWEST_ENTERPRISES} to {MOST_ENTERPRISES}")
    if not 1 <= months <= MOST_MONTHS:
        raise ValueError(f"months must be 1 to {MOST_MONTHS}")
    last = np.datetime64(check_month(end), "M")
    window = (last - np.arange(months - 1, -1, -1)).astype("datetime64[D]")
    firms = make_firms(seed, enterprises, window)
    return Cluster(seed, window, firms, make_panel(seed, firms, window))
