"""The data behind the fake services.

Everything is seeded. Passwords, tokens and organisations are invented.
"""

from __future__ import annotations

import base64
import json
import random
from typing import Any

OPERATOR_ORG = "91370100MA3C00001X"
ENTERPRISE_ORG = "91370100MA3C00002W"
STAGES = ("原料", "材料", "零部件", "整机", "应用")
NODE_NAMES = (
    ["铁矿石", "特种钢", "稀土", "铝合金", "电子元件", "铜材", "石英砂", "镍矿"],
    ["轴承钢", "铸件", "锻件", "永磁材料", "芯片", "传感器", "工程塑料", "涂料"],
    ["高速轴承", "主轴", "滚珠丝杠", "伺服电机", "数控系统", "液压件", "减速器", "线性导轨", "刀具"],
    ["机床整机", "工业机器人", "注塑机", "成套产线", "激光设备", "压缩机", "物流装备", "检测装备"],
    ["汽车制造", "工程机械", "航空零部件", "船舶", "家电", "风电", "轨道交通"],
)


def token_for(user: str, org: str, roles: list[str], org_kind: str, org_name: str) -> str:
    """An unsigned token with the claims that pages show."""
    claims = {"sub": user, "name": user, "org": org, "roles": roles, "org_kind": org_kind, "org_name": org_name}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.x"


PEOPLE = {
    "operator": ("right-password", OPERATOR_ORG, ["operator"], "operator", "示例运营中心"),
    "owner": ("right-password", ENTERPRISE_ORG, ["manager"], "enterprise", "示例机床有限公司"),
}


def months(count: int) -> list[str]:
    """The months up to 2026-10."""
    last = 2026 * 12 + 9
    return [f"{(last - back) // 12:04d}-{(last - back) % 12 + 1:02d}" for back in reversed(range(count))]


class FakeBrain:
    """The data behind the fake services, and a record of the calls that changed something."""

    def __init__(self, enterprises: int = 2000) -> None:
        rng = random.Random(7)
        self.calls: list[tuple[str, Any]] = []
        self.failing: set[str] = set()
        self.revoked: set[str] = set()
        self.stolen: set[str] = set()
        self.issued = 0
        self.token_life_s = 300.0
        self.operations = _operations()
        self.enterprises = [
            {
                "id": f"91370100MA{index:08d}"[:18],
                "name": f"示例{rng.choice('华中北方东海泰山')}{index:04d}装备有限公司",
            }
            for index in range(enterprises)
        ]
        self.nodes, self.links = self._chain(rng)
        self.pushes = self._pushes(rng)

    def _chain(self, rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        nodes: list[dict[str, Any]] = []
        for order, (stage, names) in enumerate(zip(STAGES, NODE_NAMES, strict=True)):
            for place, name in enumerate(names):
                level = rng.choices(("strong", "middle", "weak", "missing"), (4, 5, 3, 1))[0]
                here = {"strong": rng.randint(40, 160), "middle": rng.randint(8, 60), "weak": 2, "missing": 0}[level]
                nodes.append(
                    {
                        "id": f"n{order}{place:02d}",
                        "name": name,
                        "stage": stage,
                        "stage_order": order,
                        "parent": None,
                        "level": level,
                        "level_reason": {"missing": "本地没有企业", "weak": "本地企业少于 3 家"}.get(level, "其余"),
                        "enterprises": here * 2,
                        "local_enterprises": here,
                        "measure": here * rng.uniform(800, 9000) if here else None,
                        "measure_change": rng.uniform(-0.2, 0.3) if here else None,
                        "location_quotient": rng.uniform(0.4, 2.4) if here else None,
                        "hhi": rng.uniform(200, 4800) if here else None,
                        "key_score": rng.uniform(0, 0.2),
                        "is_key": rng.random() < 0.1,
                        "upstream": 0,
                        "downstream": 0,
                    }
                )
        links: list[dict[str, Any]] = []
        by_order: dict[int, list[dict[str, Any]]] = {}
        for node in nodes:
            by_order.setdefault(node["stage_order"], []).append(node)
        for order in range(4):
            for node in by_order[order]:
                for other in rng.sample(by_order[order + 1], rng.randint(1, 3)):
                    links.append({"from": node["id"], "to": other["id"], "weight": float(rng.randint(1, 9))})
                    node["downstream"] += 1
                    other["upstream"] += 1
        return nodes, links

    def _pushes(self, rng: random.Random) -> list[dict[str, Any]]:
        pushes: list[dict[str, Any]] = []
        for index in range(60):
            rejected = rng.choice((0, 0, 0, 0, 3))
            accepted = rng.randint(50, 900)
            pushes.append(
                {
                    "id": f"psh_{60 - index:026d}",
                    "dataset": rng.choice(list(CONTRACTS)),
                    "owner": OPERATOR_ORG if index % 3 else ENTERPRISE_ORG,
                    "mode": "upsert",
                    "state": "committed",
                    "received": accepted + rejected,
                    "accepted": accepted,
                    "rejected": rejected,
                    "snapshot": "8120345670012",
                    "problems": [],
                    "created_at": f"2026-11-{21 - index // 6:02d}T0{index % 6}:15:00Z",
                    "committed_at": f"2026-11-{21 - index // 6:02d}T0{index % 6}:15:01Z",
                }
            )
        pushes[0] |= {"rejected": 2, "received": pushes[0]["accepted"] + 2, "dataset": "enterprise.enterprise_monthly"}
        return pushes

    def about(self) -> dict[str, Any]:
        """What every answer about the chain carries."""
        return {
            "id": "equipment",
            "name": "高端装备",
            "synthetic": True,
            "version": 12,
            "built_at": "2026-11-20T08:15:00Z",
            "measures": {
                "revenue": {
                    "title": "营业收入",
                    "unit": "万元",
                    "dataset": "enterprise.enterprise_monthly",
                    "window_months": 12,
                }
            },
            "sources": {
                "nodes": "industry.chain_node",
                "links": "industry.chain_edge",
                "enterprises": "public.enterprise",
                "members": "industry.product",
            },
        }

    def counts(self) -> dict[str, int]:
        """Nodes by level and the other totals of a panorama."""
        levels = {
            level: sum(n["level"] == level for n in self.nodes) for level in ("strong", "middle", "weak", "missing")
        }
        return levels | {
            "nodes": len(self.nodes),
            "links": len(self.links),
            "key_nodes": sum(n["is_key"] for n in self.nodes),
            "enterprises": 2 * len(self.enterprises),
            "local_enterprises": len(self.enterprises),
        }


def _column(name: str, title: str, kind: str, unit: str = "", **rules: Any) -> dict[str, Any]:
    return {"name": name, "title": title, "title_en": name, "type": kind, "unit": unit, "rules": rules}


CONTRACTS: dict[str, dict[str, Any]] = {
    "public.enterprise": {
        "title": "企业",
        "title_en": "Enterprises",
        "key": ["uscc"],
        "access": "government",
        "library": "base",
        "classification": "一般-2",
        "columns": [
            _column("uscc", "统一社会信用代码", "string", required=True, code_type="uscc"),
            _column("name", "企业名称", "string", required=True),
            _column("region", "地区", "string", code_type="region"),
        ],
        "example": {"uscc": ENTERPRISE_ORG, "name": "示例机床有限公司", "region": "370100"},
    },
    "enterprise.enterprise_monthly": {
        "title": "企业月度经营",
        "title_en": "Monthly figures of enterprises",
        "key": ["uscc", "month"],
        "access": "owner",
        "library": "industry",
        "classification": "一般-3",
        "columns": [
            _column("uscc", "统一社会信用代码", "string", required=True, code_type="uscc"),
            _column("month", "月份", "string", required=True, pattern="^[0-9]{4}-[0-9]{2}$"),
            _column("revenue", "营业收入", "double", "万元", minimum=0),
            _column("employees", "从业人数", "integer", "人", minimum=0),
        ],
        "example": {"uscc": ENTERPRISE_ORG, "month": "2026-10", "revenue": 1234.5, "employees": 86},
    },
    "industry.product": {
        "title": "产品",
        "title_en": "Products",
        "key": ["uscc", "product_id"],
        "access": "government",
        "library": "industry",
        "classification": "一般-2",
        "columns": [_column("uscc", "统一社会信用代码", "string"), _column("product_id", "产品编号", "string")],
        "example": {"uscc": ENTERPRISE_ORG, "product_id": "P1"},
    },
}


def _operations() -> dict[str, Any]:
    """A platform with one thing of each kind to look at."""
    process = {"pid": 7, "started_at": "2026-11-21T06:00:00Z", "memory_bytes": 217_600_000, "cpu_s": 12.5}
    disk = {"path": "/srv/brain", "free_bytes": 60_000_000_000, "total_bytes": 250_000_000_000}
    route = {"method": "POST", "route": "/v1/queries", "requests": 120, "errors": 6, "refused": 2, "mean_ms": 41.5}
    status = {"service": "data-hub", "process": process, "disk": disk, "routes": [route | {"p95_ms": 250.0}]}
    good = {"service": "data-hub", "ready": True, "parts": [{"name": "database", "ok": True}], "status": status}
    away = {
        "service": "identity",
        "ready": False,
        "parts": [{"name": "service", "ok": False, "detail": "没有应答"}],
        "status": None,
    }
    found = {"code": "part_failing", "severity": "critical", "subject": "identity/service", "value": None}
    waits = {"code": "commit_backlog", "severity": "critical", "subject": "public.enterprise", "value": 75.0}
    query = {"id": "q1", "org": "91370100MA3C00001Y", "subject": "u1", "sql": "SELECT count(*) FROM public.enterprise"}
    return {
        "at": "2026-11-21T06:05:00Z",
        "status": "attention",
        "findings": [found | {"href": "#services"}, waits | {"href": "#backlog"}],
        "services": [good, away],
        "events": {
            "lag": [
                {"service": "government-services", "group": "g", "topic": "brain.warehouse.commit.v1", "lag": 3},
                {"service": "identity", "group": None, "topic": None, "lag": None, "problem": "没有应答"},
            ],
            "dead": 1,
        },
        "hub": {
            "backlog": [{"dataset": "public.enterprise", "pushes": 2, "rows": 40, "oldest_s": 75.0}],
            "slow_queries": [
                query
                | {
                    "state": "done",
                    "problem": None,
                    "rows": 1,
                    "elapsed_ms": 1201.5,
                    "started_at": "2026-11-21T06:01:00Z",
                }
            ],
            "objects": {"ok": True, "ms": 1.4, "detail": None},
        },
        "errors": [route | {"service": "data-hub", "p95_ms": 250.0}],
        "slowest": [route | {"service": "data-hub", "p95_ms": None}],
    }
