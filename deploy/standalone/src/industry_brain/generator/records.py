"""The chain itself, products, and records around enterprises: parks, projects, holdings, patents, register changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from brain_contracts.codes import region_name

from industry_brain.generator.chain import CHAIN_ID, STAGES, Ints, chain_links, chain_nodes, county_points
from industry_brain.generator.firms import HOME_COUNTIES, Firms
from industry_brain.generator.tables import table_of, where

SECOND_PRODUCT_SHARE = 0.3
CAPACITY_UNITS = {"原料": "吨", "材料": "吨", "零部件": "套", "整机": "台", "应用": "台"}
PROJECT_STAGES = ("线索", "洽谈", "签约", "开工", "投产", "终止")
CHANGES = ("地址", "法定代表人", "注册资本", "经营范围", "迁入")
Days = npt.NDArray[np.datetime64]
Window = npt.NDArray[np.datetime64]


def ids(prefix: str, count: int) -> npt.NDArray[np.object_]:
    """Record numbers that nobody takes for real ones."""
    return np.array([f"SYN-{prefix}-{number:05}" for number in range(1, count + 1)], dtype=object)


def days(rng: np.random.Generator, window: Window, count: int, *, years_before: int = 0) -> Days:
    """Random days from `years_before` years before the window to its last month's end."""
    first = window[0] - np.timedelta64(years_before * 365, "D")
    length = int((window[-1] - first).astype(int)) + 28
    found: Days = first + rng.integers(0, length, count).astype("timedelta64[D]")
    return found


def by_size(rng: np.random.Generator, firms: Firms, count: int) -> Ints:
    """`count` enterprises, larger ones more often."""
    weights = np.sqrt(firms.annual)
    return rng.choice(len(firms), count, p=weights / weights.sum())


def chain_node_table() -> pa.Table:
    """industry.chain_node."""
    nodes = chain_nodes()
    columns = {
        "chain_id": [CHAIN_ID] * len(nodes),
        "node_id": [node.id for node in nodes],
        "name": [node.name for node in nodes],
        "stage": [node.stage for node in nodes],
        "stage_order": [STAGES.index(node.stage) + 1 for node in nodes],
        "essential": [node.essential for node in nodes],
        "industry_class": [node.industry_class for node in nodes],
    }
    return table_of("industry.chain_node", columns)


def chain_edge_table() -> pa.Table:
    """industry.chain_edge."""
    sources, targets, weights, relations = zip(*chain_links(), strict=True)
    columns = {
        "chain_id": [CHAIN_ID] * len(sources),
        "from_node_id": sources,
        "to_node_id": targets,
        "weight": weights,
        "relation": relations,
    }
    return table_of("industry.chain_edge", columns)


def product_table(seed: int, firms: Firms) -> pa.Table:
    """industry.product: one product at the enterprise's node, a second one at another for some.

    Second products leave missing and weak nodes as they are meant to be.
    """
    rng = np.random.default_rng([seed, 10])
    nodes = chain_nodes()
    first = np.flatnonzero(firms.node >= 0)
    open_nodes = np.array([n for n, node in enumerate(nodes) if node.home > 0])
    second = first[rng.random(len(first)) < SECOND_PRODUCT_SHARE]
    other = rng.choice(open_nodes, len(second))
    second, other = second[other != firms.node[second]], other[other != firms.node[second]]
    firm = np.concatenate([first, second])
    place = np.concatenate([firms.node[first], other])
    main = np.arange(len(firm)) < len(first)
    columns = {
        "uscc": firms.uscc[firm],
        "product_id": where(main, "P1", "P2"),
        "name": [
            f"{nodes[n].name}（示例型号 {100 + f % 900}）" for f, n in zip(firm.tolist(), place.tolist(), strict=True)
        ],
        "chain_id": [CHAIN_ID] * len(firm),
        "node_id": [nodes[n].id for n in place.tolist()],
        "capacity": np.round(firms.annual[firm] * np.where(main, 0.8, 0.2) * rng.lognormal(0, 0.5, len(firm)), 0),
        "capacity_unit": [CAPACITY_UNITS[nodes[n].stage] for n in place.tolist()],
        "is_main": main,
    }
    return table_of("industry.product", columns)


def tables(seed: int, firms: Firms, window: Window) -> Iterator[tuple[str, str, pa.Table]]:
    """(role that pushes it, data set, rows)."""
    yield "development", "public.park", _parks(np.random.default_rng([seed, 11]))
    yield "development", "public.project", _projects(np.random.default_rng([seed, 12]), firms, window)
    yield "market", "public.holding", _holdings(np.random.default_rng([seed, 13]), firms, window)
    yield "market", "public.registration_change", _changes(np.random.default_rng([seed, 14]), firms, window)
    yield "provider", "public.patent", _patents(np.random.default_rng([seed, 15]), firms, window)


def _parks(rng: np.random.Generator) -> pa.Table:
    kinds = ("智能装备产业园", "新材料产业园")
    places = [(region, kind) for region in HOME_COUNTIES for kind in kinds]
    points = np.array([county_points()[region] for region, _ in places]) + rng.normal(0, 0.03, (len(places), 2))
    area = np.round(rng.uniform(1.5, 18, len(places)), 2)
    columns = {
        "park_id": ids("PK", len(places)),
        "name": [f"示例{region_name(region).rstrip('区县')}{kind}" for region, kind in places],
        "region": [region for region, _ in places],
        "level": rng.choice(["国家级", "省级", "市级", "县级"], len(places), p=[0.1, 0.3, 0.4, 0.2]).tolist(),
        "area_km2": area,
        "available_mu": np.round(area * 1500 * rng.uniform(0.02, 0.25, len(places)), 0),
        "longitude": np.round(points[:, 0], 4),
        "latitude": np.round(points[:, 1], 4),
    }
    return table_of("public.park", columns)


def _projects(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    count = max(12, len(firms) * 3 // 50)
    nodes = chain_nodes()
    gap = np.array([node.weak or node.home == 0 for node in nodes])
    weights = np.where(gap, 3.0, 1.0)
    place = rng.choice(len(nodes), count, p=weights / weights.sum())
    kind = rng.choice(
        ["招商项目", "技术改造", "科研立项", "数字经济总部", "基础设施"], count, p=[0.45, 0.3, 0.15, 0.04, 0.06]
    )
    stage = rng.choice(PROJECT_STAGES, count, p=[0.15, 0.15, 0.2, 0.3, 0.15, 0.05])
    signed = ~np.isin(stage, ["线索", "洽谈"])
    investment = np.round(rng.lognormal(np.log(12_000), 1.0, count), 0)
    paid = np.where(signed, investment * rng.uniform(0.05, 1.0, count), 0.0)
    bidder = firms.uscc[by_size(rng, firms, count)]
    action = np.where(gap[place], "补链", rng.choice(["强链", "固链", "延链"], count))
    dates = days(rng, window, count)
    columns = {
        "project_id": ids("PJ", count),
        "name": [f"示例{nodes[n].name}{k}" for n, k in zip(place.tolist(), kind.tolist(), strict=True)],
        "uscc": where((kind != "招商项目") | signed, bidder),
        "region": rng.choice(list(HOME_COUNTIES), count).tolist(),
        "kind": kind.tolist(),
        "investment_10k_cny": investment,
        "paid_in_10k_cny": np.round(paid, 0),
        "stage": stage.tolist(),
        "signed_on": pa.array(dates, mask=~signed),
        "level": rng.choice(["省级", "市级"], count, p=[0.3, 0.7]).tolist(),
        "chain_id": [CHAIN_ID] * count,
        "node_id": [nodes[n].id for n in place.tolist()],
        "chain_action": action.tolist(),
    }
    return table_of("public.project", columns)


def _holdings(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    """Larger enterprises hold shares of smaller ones; each is held by one at most, so nobody is held in a circle."""
    count = max(5, len(firms) * 3 // 20)
    order = np.argsort(-firms.annual, kind="stable")
    held = rng.permutation(len(firms) - len(firms) // 10)[:count] + len(firms) // 10
    holder = (held * rng.random(count) ** 2 * 0.5).astype(np.int64)
    columns = {
        "holder": firms.uscc[order[holder]],
        "held": firms.uscc[order[held]],
        "share_percent": np.round(rng.choice([100.0, 80.0, 67.0, 51.0, 34.0, 20.0, 10.0], count), 2),
        "since": days(rng, window, count, years_before=8),
    }
    return table_of("public.holding", columns)


def _changes(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    """Beginnings and ends as the enterprises have them, and other changes at random."""
    new = np.flatnonzero(firms.established >= window[0])
    gone = np.flatnonzero(np.isin(firms.state, ["注销", "迁出"]))
    others = rng.choice(len(firms), max(10, len(firms) // 5))
    firm = np.concatenate([new, gone, others])
    random = rng.choice(CHANGES, len(others), p=[0.25, 0.25, 0.25, 0.2, 0.05])
    kind = np.concatenate([np.full(len(new), "设立"), firms.state[gone].astype(str), random])
    last = np.minimum(firms.last, len(window) - 1)
    end = window[last[gone]] + rng.integers(0, 28, len(gone)).astype("timedelta64[D]")
    changed = np.concatenate([firms.established[new], end, days(rng, window, len(others))])
    elsewhere = rng.choice([code for code in county_points() if code not in HOME_COUNTIES], len(firm))
    moved_out, moved_in = kind == "迁出", kind == "迁入"
    here = firms.region[firm]
    columns = {
        "change_id": ids("RC", len(firm)),
        "uscc": firms.uscc[firm],
        "kind": kind.tolist(),
        "changed_on": changed.astype("datetime64[D]"),
        "from_region": where(moved_out, here, where(moved_in, elsewhere)),
        "to_region": where(moved_out, elsewhere, where(moved_in, here)),
    }
    return table_of("public.registration_change", columns)


def _patents(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    count = len(firms) * 3 // 2
    firm = by_size(rng, firms, count)
    nodes = chain_nodes()
    topics = [nodes[n].name if n >= 0 else "产业服务" for n in firms.node[firm].tolist()]
    kind = rng.choice(["发明", "实用新型", "外观设计", "PCT", "软件著作权"], count, p=[0.3, 0.45, 0.08, 0.02, 0.15])
    state = rng.choice(["有效", "审中", "失效"], count, p=[0.65, 0.25, 0.1])
    filed = days(rng, window, count, years_before=6)
    granted = filed + rng.integers(120, 900, count).astype("timedelta64[D]")
    pending = (state == "审中") | (granted > window[-1])
    columns = {
        "publication_no": ids("IP", count),
        "uscc": firms.uscc[firm],
        "title": [f"一种{topic}的示例技术 {n}" for n, topic in enumerate(topics, 1)],
        "kind": kind.tolist(),
        "filed_on": filed,
        "granted_on": pa.array(granted, mask=pending),
        "state": np.where(pending, "审中", state).tolist(),
    }
    return table_of("public.patent", columns)
