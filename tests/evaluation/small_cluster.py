"""Twelve enterprises and what is known of them: small enough to compute every indicator by hand.

Scope of the tests: region 3703 and chain m. Members: firms 1 to 9 and 12 (10 is off the chain, 11 is in Jinan).
Present at the end of 2025: firms 1 to 7 (8 is founded in 2026, 9 is struck off, 12 has moved away).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from brain_contracts.codes import make_uscc
from brain_contracts.odcs import canonical_contracts

from tests.data_hub.small_warehouse import OPERATOR, ReadingService

CHAIN, REGION, HERE = "m", "3703", "370303"
MONTHS = [f"2025-{month:02d}" for month in range(1, 13)]
EARLIER = [f"2024-{month:02d}" for month in range(1, 13)]
LATER = datetime(2026, 1, 2, tzinfo=UTC)

# region, nodes of the chain, scale, chain leader, honour, state, founded
FIRMS: dict[int, tuple[str, tuple[str, ...], str | None, bool, str | None, str, date | None]] = {
    1: ("370303", ("n1",), "规上", True, "单项冠军", "存续", date(2001, 5, 1)),
    2: ("370303", ("n1", "n2"), "规上", False, "专精特新", "存续", date(2005, 1, 1)),
    3: ("370303", ("n2",), "规下", False, None, "存续", date(2010, 1, 1)),
    4: ("370304", ("n2",), "规上", True, "瞪羚", "存续", date(2012, 1, 1)),
    5: ("370304", ("n3",), "规下", False, None, "存续", date(2015, 1, 1)),
    6: ("370304", ("n3",), "规下", False, "专精特新小巨人", "存续", date(2018, 1, 1)),
    7: ("370304", ("n1",), None, False, None, "存续", None),
    8: ("370303", ("n2",), "规下", False, None, "存续", date(2026, 2, 1)),
    9: ("370303", ("n1",), "规上", False, None, "注销", date(2003, 1, 1)),
    10: ("370303", (), "规上", False, "独角兽", "存续", date(2000, 1, 1)),
    11: ("370102", ("n4",), "规上", True, "准独角兽", "存续", date(1999, 1, 1)),
    12: ("370304", ("n1",), "规下", False, None, "迁出", date(2011, 1, 1)),
}
USCC = {number: make_uscc(firm[0], 7000 + number) for number, firm in FIRMS.items()}

# Each month of 2025, in 10,000 CNY: revenue, output, R&D expense, inventory.
FIGURES: dict[int, tuple[float, float, float | None, float | None]] = {
    1: (1000, 1100, 30, 500),
    2: (200, 200, 5, 100),
    3: (50, 50, 2.5, None),
    4: (600, 500, None, None),
    5: (20, 20, 0.6, None),
    6: (30, 30, 0.8, None),
    9: (100, 100, 10, None),
    10: (400, 400, 1, None),
    11: (900, 900, 50, None),
    12: (0, 0, 5, None),
}
EARLIER_REVENUE = {1: 800, 2: 200, 4: 500}


# Columns and rows; a firm's number stands for its code, a text for a date.
RECORDS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    # p0 is the parent of n1 and no node of its own; n4 has a firm in Jinan only.
    "industry.chain_node": (
        "chain_id node_id name stage stage_order parent_node_id",
        [
            (CHAIN, "p0", "零部件", "零部件", 1, None),
            (CHAIN, "n1", "主轴", "零部件", 1, "p0"),
            (CHAIN, "n2", "导轨", "零部件", 1, None),
            (CHAIN, "n3", "机床", "整机", 2, None),
            (CHAIN, "n4", "加工", "应用", 3, None),
            ("other", "x1", "别的", "原料", 1, None),
        ],
    ),
    # The city's own row and Jinan's are not the counties of the scope.
    "public.region_yearly": (
        "region year output_10k_cny",
        [
            ("370303", 2025, 40_000),
            ("370304", 2025, 6_700),
            ("370303", 2024, 1_000),
            ("370300", 2025, 999_999),
            ("370102", 2025, 50_000),
        ],
    ),
    "public.talent": (
        "uscc year kind source people",
        [
            (1, 2025, "高层次人才", "引进", 3),
            (1, 2025, "高层次人才", "培育", 2),
            (1, 2025, "专业技能人才", "培育", 20),
            (1, 2025, "专业技能人才", "引进", 7),
            (3, 2025, "高层次人才", "引进", 1),
            (9, 2025, "高层次人才", "引进", 5),
            (1, 2024, "高层次人才", "引进", 100),
        ],
    ),
    "industry.financing": (
        "financing_id uscc kind amount_10k_cny paid_on",
        [
            ("F1", 1, "产业基金", 3000, "2025-03-01"),
            ("F2", 2, "股权投资", 500.5, "2025-12-31"),
            ("F3", 3, "银行信贷", 100, "2025-05-05"),
            ("F4", 1, "产业基金", 1000, "2024-06-01"),
            ("F5", 10, "产业基金", 900, "2025-06-01"),
            ("F6", 4, "产业基金", 70, None),
            ("F7", 2, "股权投资", 7, None),
        ],
    ),
    "public.listed_firm": (
        "uscc stock_code board listed_on",
        [
            (1, "A1", "主板", "2015-01-01"),
            (1, "B1", "主板", "2016-01-01"),
            (1, "H1", "境外", "2025-12-31"),
            (2, "B2", "北交所", "2022-01-01"),
            (3, "M3", "中小板", "2012-01-01"),
            (4, "K4", "科创板", "2026-03-01"),
            (6, "K6", "科创板", "2021-01-01"),
            (5, "C5", "创业板", None),
            (10, "A10", "主板", "2010-01-01"),
        ],
    ),
    "public.dcmm_level": (
        "uscc level certified_on",
        [(1, 3, "2024-02-02"), (2, 1, "2023-03-03"), (3, 2, "2026-01-05"), (4, 2, "2025-12-31"), (9, 4, None)],
    ),
    "public.cdo_pilot": (
        "uscc level appointed_on",
        [(1, "省级", "2024-01-01"), (5, "市级", "2025-12-31"), (6, "市级", "2026-01-01")],
    ),
    "public.rd_platform": (
        "platform_id uscc name kind level recognised_on",
        [
            ("RD1", 1, "a", "重点实验室", "国家级", "2020-01-01"),
            ("RD2", 1, "b", "企业技术中心", "省级", "2025-12-31"),
            ("RD3", 2, "c", "企业技术中心", "市级", "2020-01-01"),
            ("RD4", 4, "d", "企业技术中心", "省级", "2026-01-01"),
            ("RD5", 9, "e", "企业技术中心", "省级", "2020-01-01"),
            ("RD6", 3, "f", "院士工作站", "省级", None),
        ],
    ),
    "public.patent": (
        "publication_no uscc title kind state granted_on",
        [
            ("IP1", 1, "t", "发明", "有效", "2020-01-01"),
            ("IP2", 1, "t", "PCT", "有效", "2025-12-31"),
            ("IP3", 2, "t", "实用新型", "有效", "2024-01-01"),
            ("IP4", 2, "t", "发明", "审中", None),
            ("IP5", 3, "t", "软件著作权", "有效", "2025-06-01"),
            ("IP6", 3, "t", "发明", "失效", "2019-01-01"),
            ("IP7", 4, "t", "发明", "有效", "2026-02-01"),
            ("IP8", 10, "t", "发明", "有效", "2020-01-01"),
        ],
    ),
    "public.standard_participation": (
        "standard_no uscc title kind role published_on",
        [
            ("T/1", 1, "t", "团体", "牵头", "2024-01-01"),
            ("T/1", 2, "t", "团体", "参与", "2024-01-01"),
            ("GB 2", 3, "t", "国家", "参与", "2025-12-31"),
            ("T/3", 4, "t", "团体", "牵头", "2026-05-01"),
            ("T/4", 11, "t", "团体", "牵头", "2020-01-01"),
        ],
    ),
    "public.honour": (
        "honour_id uscc name kind level granted_on",
        [
            ("H1", None, "a", "产业集群", "国家级", "2020-01-01"),
            ("H2", None, "b", "产业集群", "省级", "2025-12-31"),
            ("H3", None, "c", "产业集群", "市级", "2024-01-01"),
            ("H4", 1, "d", "产品", "省级", "2025-12-31"),
            ("H5", 10, "e", "产品", "国家级", "2025-01-01"),
            ("H6", 1, "f", "企业", "省级", "2025-01-01"),
            ("H7", None, "g", "产业集群", "省级", None),
            ("H8", None, "h", "产业集群", "省级", "2026-02-01"),
            ("H9", None, "i", "产业集群", "省级", "2022-12-31"),
            ("H10", None, "j", "产业集群", "省级", "2023-01-01"),
            ("H11", None, "k", "产品", "省级", "2024-01-01"),
            ("H12", None, "l", "产业集群", "国家级", "2024-01-01"),
            ("H13", None, "m", "产业集群", "国家级", None),
        ],
    ),
    "industry.platform_scene": (
        "scene_id platform platform_level name kind started_on",
        [
            ("S1", "A", "国家级", "s", "精准化营销", "2024-01-01"),
            ("S2", "A", "国家级", "s", "网络化协同", "2024-01-01"),
            ("S3", "B", "省级", "s", "个性化定制", "2025-12-31"),
            ("S4", "C", "市级", "s", "服务化延伸", "2025-01-01"),
            ("S5", "D", "省级", "s", "平台化设计", "2026-02-01"),
            ("S6", "C", "市级", "s", "精准化营销", None),
            ("S7", "C", "市级", "s", "平台化设计", "2025-01-01"),
        ],
    ),
    # Two lie outside the scope: J10 in Jinan, J11 of another chain.
    "public.project": (
        "project_id name region chain_id kind level stage signed_on chain_action",
        [
            ("J1", "p", HERE, CHAIN, "招商项目", "省级", "签约", "2025-02-01", "补链"),
            ("J2", "p", HERE, CHAIN, "招商项目", "市级", "开工", "2024-05-05", "强链"),
            ("J3", "p", HERE, CHAIN, "招商项目", "市级", "洽谈", None, "延链"),
            ("J4", "p", "370304", CHAIN, "数字经济总部", "国家级", "投产", "2025-12-31", "固链"),
            ("J5", "p", HERE, CHAIN, "招商项目", "市级", "终止", "2025-01-01", "补链"),
            ("J6", "p", HERE, CHAIN, "科研立项", "省级", "签约", "2025-04-01", None),
            ("J7", "p", HERE, CHAIN, "科研立项", "国家级", "开工", "2025-12-31", None),
            ("J8", "p", HERE, CHAIN, "科研立项", "市级", "开工", "2025-06-30", None),
            ("J9", "p", HERE, CHAIN, "科研立项", "省级", "签约", "2024-12-31", None),
            ("J10", "p", "370102", CHAIN, "招商项目", "省级", "签约", "2025-02-01", "补链"),
            ("J11", "p", HERE, "other", "招商项目", "省级", "签约", "2025-02-01", "补链"),
            ("J12", "p", HERE, CHAIN, "技术改造", "市级", "开工", "2025-09-09", "强链"),
            ("J13", "p", HERE, CHAIN, "科研立项", "国家级", "签约", None, None),
            ("J14", "p", HERE, CHAIN, "招商项目", "省级", "投产", None, "延链"),
            ("J15", "p", HERE, CHAIN, "科研立项", "省级", "线索", "2025-05-01", None),
            ("J16", "p", HERE, CHAIN, "科研立项", "省级", "洽谈", "2025-05-01", None),
            ("J17", "p", HERE, CHAIN, "科研立项", "省级", "线索", None, None),
            ("J18", "p", HERE, CHAIN, "科研立项", "省级", "洽谈", None, None),
            ("J19", "p", HERE, CHAIN, "技术改造", "市级", "签约", None, "强链"),
            ("J20", "p", HERE, CHAIN, "技术改造", "市级", "开工", None, "固链"),
        ],
    ),
}


def monthly() -> list[dict[str, Any]]:
    """2025 of every firm with figures; firm 3 lacks May, firm 9 ends in June. 2024 of three firms."""
    rows = [
        {
            "uscc": USCC[number],
            "month": month,
            "revenue_10k_cny": revenue,
            "output_10k_cny": output,
            "rd_expense_10k_cny": research,
            "inventory_10k_cny": stock,
        }
        for number, (revenue, output, research, stock) in FIGURES.items()
        for month in MONTHS
        if (number, month) != (3, "2025-05") and not (number == 9 and month > "2025-06")
    ]
    return rows + [
        {"uscc": USCC[number], "month": month, "revenue_10k_cny": revenue}
        for number, revenue in EARLIER_REVENUE.items()
        for month in EARLIER
    ]


def energy() -> list[dict[str, Any]]:
    """Tons of each month; firm 2 lacks December, firm 5 has January only, firm 10 is off the chain."""
    monthly_tce = {
        1: [1000.0] * 12,
        2: [2000.0] * 11,
        3: [10.0] * 12,
        4: [900.0] * 12,
        5: [10000.0],
        6: [10000.0] + [0.0] * 11,
        10: [3000.0] * 12,
    }
    return [
        {"uscc": USCC[number], "month": month, "coal_equivalent_tce": value}
        for number, values in monthly_tce.items()
        for month, value in zip(MONTHS, values, strict=False)
    ]


def records(columns: str, rows: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Rows as dictionaries; a firm's number in column `uscc` becomes its code, a date's text a date."""
    names = columns.split()
    found = []
    for row in rows:
        item = dict(zip(names, row, strict=True))
        if item.get("uscc") is not None:
            item["uscc"] = USCC[item["uscc"]]
        for name in names:
            if name.endswith("_on") and item[name] is not None:
                item[name] = date.fromisoformat(item[name])
        found.append(item)
    return found


def datasets() -> dict[str, list[dict[str, Any]]]:
    """Every data set with its rows."""
    register = [
        {
            "uscc": USCC[number],
            "name": f"示例{number}",
            "region": region,
            "scale": scale,
            "is_chain_leader": leader,
            "honour_level": honour,
            "state": state,
            "established_on": founded,
        }
        for number, (region, _, scale, leader, honour, state, founded) in FIRMS.items()
    ]
    products = [
        {"uscc": USCC[number], "product_id": node, "name": "产品", "chain_id": CHAIN, "node_id": node}
        for number, firm in FIRMS.items()
        for node in firm[1]
    ]
    return {
        "public.enterprise": register,
        "industry.product": products,
        "enterprise.enterprise_monthly": monthly(),
        "public.energy_monthly": energy(),
    } | {name: records(columns, rows) for name, (columns, rows) in RECORDS.items()}


def fill(service: ReadingService) -> None:
    """Registers the data sets and commits their rows."""
    for name, rows in datasets().items():
        service.add(canonical_contracts()[name])
        service.warehouse.commit(name, OPERATOR.org, rows)
