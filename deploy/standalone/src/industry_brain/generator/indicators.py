"""What indicators count besides enterprises: levels, talent, platforms, honours, standards, financing, scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from industry_brain.generator.chain import Ints, chain_nodes
from industry_brain.generator.firms import Firms
from industry_brain.generator.records import Window, by_size, days, ids
from industry_brain.generator.tables import table_of

DCMM_NAMES = ("初始级", "受管理级", "稳健级", "量化管理级", "优化级")
RD_KINDS = ("重点实验室", "工程技术研究中心", "企业技术中心", "院士工作站", "博士后科研工作站", "新型研发机构")
STANDARD_KINDS = {"国际": "SYN-I", "国家": "SYN-G", "行业": "SYN-H", "地方": "SYN-D", "团体": "SYN-T"}
SCENE_KINDS = ("精准化营销", "平台化设计", "个性化定制", "网络化协同", "服务化延伸")
FINANCING_KINDS = ("银行信贷", "产业基金", "股权投资", "债券", "供应链金融")
CITY_HONOURS = (
    ("示例高端装备省级特色产业集群", "省级"),
    ("示例先进制造省级战略性新兴产业集群", "省级"),
    ("示例省级数字经济园区", "省级"),
    ("示例省级创新创业共同体", "省级"),
    ("示例国家级先进制造业集群", "国家级"),
)


def tables(seed: int, firms: Firms, window: Window) -> Iterator[tuple[str, str, pa.Table]]:
    """(role that pushes it, data set, rows)."""
    yield "industry", "public.dcmm_level", _dcmm(np.random.default_rng([seed, 20]), firms, window)
    yield "industry", "public.cdo_pilot", _cdo(np.random.default_rng([seed, 21]), firms, window)
    yield "development", "public.talent", _talent(np.random.default_rng([seed, 22]), firms, window)
    yield "industry", "public.rd_platform", _rd_platforms(np.random.default_rng([seed, 23]), firms, window)
    yield "industry", "public.honour", _honours(np.random.default_rng([seed, 24]), firms, window)
    yield "market", "public.standard_participation", _standards(np.random.default_rng([seed, 25]), firms, window)
    yield "provider", "industry.financing", _financing(np.random.default_rng([seed, 26]), firms, window)
    yield "provider", "public.listed_firm", _listed(np.random.default_rng([seed, 27]), firms, window)
    yield "industry", "industry.platform_scene", _scenes(np.random.default_rng([seed, 28]), firms, window)


def _distinct(rng: np.random.Generator, firms: Firms, count: int) -> Ints:
    """Different enterprises above designated size where there are enough, larger ones more often."""
    weights = np.where(firms.designated, np.sqrt(firms.annual), 1e-6)
    return rng.choice(len(firms), min(count, len(firms)), replace=False, p=weights / weights.sum())


def _dcmm(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = _distinct(rng, firms, max(4, len(firms) * 3 // 100))
    level = rng.choice([1, 2, 3, 4], len(firm), p=[0.25, 0.5, 0.2, 0.05])
    columns = {
        "uscc": firms.uscc[firm],
        "level": level,
        "name": [DCMM_NAMES[n - 1] for n in level.tolist()],
        "certified_on": days(rng, window, len(firm), years_before=1),
        "evidence": [f"示例证书 {n:04}" for n in range(1, len(firm) + 1)],
    }
    return table_of("public.dcmm_level", columns)


def _cdo(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = _distinct(rng, firms, max(3, len(firms) // 50))
    columns = {
        "uscc": firms.uscc[firm],
        "officer_post": rng.choice(["副总经理", "总工程师", "信息化总监"], len(firm)).tolist(),
        "level": rng.choice(["省级", "市级"], len(firm), p=[0.4, 0.6]).tolist(),
        "appointed_on": days(rng, window, len(firm)),
    }
    return table_of("public.cdo_pilot", columns)


def _talent(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = _distinct(rng, firms, max(6, len(firms) // 10))
    years = np.unique(window.astype("datetime64[Y]").astype(int) + 1970)
    kinds = (("高层次人才", "引进", 2.0), ("高层次人才", "培育", 1.5), ("专业技能人才", "培育", 14.0))
    rows = [(f, year, *kind) for f in firm.tolist() for year in years.tolist() for kind in kinds]
    columns = {
        "uscc": firms.uscc[[row[0] for row in rows]],
        "year": [row[1] for row in rows],
        "kind": [row[2] for row in rows],
        "source": [row[3] for row in rows],
        "people": rng.poisson([row[4] for row in rows]),
    }
    return table_of("public.talent", columns)


def _rd_platforms(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = _distinct(rng, firms, max(6, len(firms) * 7 // 100))
    kind = rng.choice(RD_KINDS, len(firm), p=[0.1, 0.25, 0.4, 0.05, 0.1, 0.1])
    names = [f"{firms.short_name[f]}{k}" for f, k in zip(firm.tolist(), kind.tolist(), strict=True)]
    columns = {
        "platform_id": ids("RD", len(firm)),
        "uscc": firms.uscc[firm],
        "name": names,
        "kind": kind.tolist(),
        "level": rng.choice(["国家级", "省级", "市级"], len(firm), p=[0.06, 0.54, 0.4]).tolist(),
        "recognised_on": days(rng, window, len(firm), years_before=6),
    }
    return table_of("public.rd_platform", columns)


def _honours(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = _distinct(rng, firms, max(4, len(firms) * 3 // 100))
    product = rng.random(len(firm)) < 0.5
    words = [
        f"示例名牌产品（{firms.short_name[f]}）" if p else f"示例制造业领航企业（{firms.short_name[f]}）"
        for f, p in zip(firm.tolist(), product.tolist(), strict=True)
    ]
    count = len(CITY_HONOURS) + len(firm)
    columns = {
        "honour_id": ids("HN", count),
        "uscc": [None] * len(CITY_HONOURS) + firms.uscc[firm].tolist(),
        "name": [name for name, _ in CITY_HONOURS] + words,
        "level": [level for _, level in CITY_HONOURS] + rng.choice(["省级", "市级"], len(firm)).tolist(),
        "granted_on": days(rng, window, count),
        "evidence": [f"示例文件 {n:04}" for n in range(1, count + 1)],
        "kind": ["产业集群"] * len(CITY_HONOURS) + np.where(product, "产品", "企业").tolist(),
    }
    return table_of("public.honour", columns)


def _standards(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    """Each standard has one enterprise that leads and up to three that take part."""
    count = max(5, len(firms) // 25)
    nodes = chain_nodes()
    kind = rng.choice(list(STANDARD_KINDS), count, p=[0.03, 0.2, 0.25, 0.17, 0.35]).tolist()
    topic = rng.integers(0, len(nodes), count)
    published = days(rng, window, count, years_before=3)
    rows = [
        (n, f, "牵头" if position == 0 else "参与")
        for n in range(count)
        for position, f in enumerate(_distinct(rng, firms, int(rng.integers(1, 5))).tolist())
    ]
    standard = np.array([row[0] for row in rows])
    columns = {
        "standard_no": [f"{STANDARD_KINDS[kind[n]]} {1000 + n}" for n in standard.tolist()],
        "uscc": firms.uscc[[row[1] for row in rows]],
        "title": [f"{nodes[int(topic[n])].name}示例技术规范" for n in standard.tolist()],
        "kind": [kind[n] for n in standard.tolist()],
        "role": [row[2] for row in rows],
        "published_on": published[standard],
    }
    return table_of("public.standard_participation", columns)


def _financing(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    count = max(10, len(firms) // 5)
    firm = by_size(rng, firms, count)
    kind = rng.choice(FINANCING_KINDS, count, p=[0.6, 0.08, 0.07, 0.05, 0.2])
    columns = {
        "financing_id": ids("FN", count),
        "uscc": firms.uscc[firm],
        "kind": kind.tolist(),
        "amount_10k_cny": np.round(firms.annual[firm] * rng.uniform(0.03, 0.3, count), 0),
        "provider": rng.choice(["示例银行", "示例产业基金", "示例商业保理公司"], count).tolist(),
        "paid_on": days(rng, window, count),
    }
    return table_of("industry.financing", columns)


def _listed(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    firm = np.flatnonzero([board is not None for board in firms.listing.tolist()])
    columns = {
        "uscc": firms.uscc[firm],
        "stock_code": ids("ST", len(firm)),
        "short_name": firms.short_name[firm],
        "board": firms.listing[firm],
        "listed_on": days(rng, window, len(firm), years_before=10),
    }
    return table_of("public.listed_firm", columns)


def _scenes(rng: np.random.Generator, firms: Firms, window: Window) -> pa.Table:
    count = max(len(SCENE_KINDS), len(firms) * 3 // 100)
    nodes = chain_nodes()
    platform = rng.integers(1, 7, count)
    kind = np.array(SCENE_KINDS)[np.arange(count) % len(SCENE_KINDS)]
    topic = rng.integers(0, len(nodes), count)
    columns = {
        "scene_id": ids("SC", count),
        "platform": [f"示例工业互联网平台 {n} 号" for n in platform.tolist()],
        "name": [f"{nodes[int(n)].name}{k}场景" for n, k in zip(topic, kind.tolist(), strict=True)],
        "kind": kind.tolist(),
        "enterprises": rng.integers(1, max(2, len(firms) // 20), count),
        "started_on": days(rng, window, count),
        "platform_level": np.array(["国家级", "省级", "省级", "市级", "市级", "市级"])[platform - 1].tolist(),
    }
    return table_of("industry.platform_scene", columns)
