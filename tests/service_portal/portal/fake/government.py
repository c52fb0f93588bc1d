"""The fake government services: overview, panorama, node and enterprise profiles."""

from __future__ import annotations

import random
from typing import Any

from brain_kit.application import add_problem_handlers
from brain_kit.problems import NotFound, RateLimited
from fastapi import FastAPI

from tests.service_portal.portal.fake.data import FakeBrain, months


def government_app(brain: FakeBrain) -> FastAPI:
    """Every route of the fake government services."""
    app = FastAPI()
    add_problem_handlers(app)
    _overview(app, brain)
    _profiles(app, brain)
    return app


def _overview(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/chains")
    def chains() -> dict[str, Any]:
        known = {
            "id": "equipment",
            "name": "高端装备",
            "synthetic": True,
            "region": "37",
            "version": 12,
            "built_at": None,
        }
        return {"items": [known], "next": None}

    @app.get("/v1/overview")
    def overview() -> dict[str, Any]:
        if "overview" in brain.failing:
            raise RateLimited("稍后再试", retry_after_s=5)
        counts = brain.counts()
        trend = [[month, 100 + index * 1.7] for index, month in enumerate(months(12))]
        missing = next((n for n in brain.nodes if n["level"] == "missing"), brain.nodes[0])

        def figure(**given: Any) -> dict[str, Any]:
            base: dict[str, Any] = {"change": None, "change_basis": None, "trend": [], "note": None, "as_of": "2026-10"}
            return base | {"title_en": given["id"], "source": "public.enterprise", "records_url": "/datasets"} | given

        return {
            "chains": chains()["items"],
            "chain": "equipment",
            "figures": [
                figure(
                    id="enterprises", title="链上企业", value=len(brain.enterprises), unit="家", records_url="/datasets"
                ),
                figure(
                    id="revenue",
                    title="营业收入",
                    value=12_864_000,
                    unit="万元",
                    change=0.072,
                    change_basis="同比",
                    trend=trend,
                    source="enterprise.enterprise_monthly",
                ),
                figure(
                    id="energy", title="综合能耗", value=None, unit="吨标准煤", note="public.energy_monthly 还没有数据"
                ),
                figure(
                    id="missing_nodes",
                    title="缺失环节",
                    value=counts["missing"],
                    unit="个",
                    records_url="/panorama?chain=equipment&level=missing",
                ),
                figure(id="weak_nodes", title="薄弱环节", value=counts["weak"], unit="个"),
            ],
            "findings": [
                {
                    "severity": "bad",
                    "title": f"「{missing['name']}」环节缺失",
                    "detail": "本地没有企业；影响下游 3 个环节",
                    "action": "查看",
                    "url": f"/panorama/equipment/nodes/{missing['id']}",
                    "sort": 1003,
                },
            ],
            "regions": {},
            "attributes": {},
            "as_of": "2026-11-20T08:15:00Z",
            **brain.about(),
        }


def _profiles(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/chains/{chain}/panorama")
    def panorama(chain: str) -> dict[str, Any]:
        if chain != "equipment":
            raise NotFound(f"没有产业链 {chain}")
        return {
            "chain": chain,
            "nodes": brain.nodes,
            "links": brain.links,
            "counts": brain.counts(),
            "unresolved_links": [],
            "unknown_member_nodes": [],
            "measure": "revenue",
            "measure_as_of": "2026-10",
            "region": "37",
            "level_rules": {
                "missing": "本地没有企业",
                "weak": "本地企业少于 3 家",
                "strong": "不少于 5 家",
                "middle": "其余",
            },
            **brain.about(),
        }

    @app.get("/v1/chains/{chain}/nodes/{node}")
    def node_profile(chain: str, node: str) -> dict[str, Any]:
        found = next((n for n in brain.nodes if n["id"] == node), None)
        if found is None:
            raise NotFound("没有这个环节")
        by_id = {n["id"]: n for n in brain.nodes}

        def near(other: str, link: dict[str, Any]) -> dict[str, Any]:
            return {key: by_id[other][key] for key in ("id", "name", "level", "stage")} | {"weight": link["weight"]}

        enterprises = [
            {**e, "region": "370100", "attributes": {}, "measures": {"revenue": 5000.5 - index}}
            for index, e in enumerate(brain.enterprises[: found["local_enterprises"]])
        ]
        return {
            "node": found,
            "upstream": [near(k["from"], k) for k in brain.links if k["to"] == node],
            "downstream": [near(k["to"], k) for k in brain.links if k["from"] == node],
            "enterprises": enterprises,
            **brain.about(),
        }

    @app.get("/v1/enterprises/{identity}")
    def enterprise(identity: str) -> dict[str, Any]:
        found = next((e for e in brain.enterprises if e["id"] == identity), None)
        if found is None:
            raise NotFound(f"没有企业 {identity}")
        values = random.Random(identity)
        return {
            **found,
            "region": "370100",
            "attributes": {"规模": "中型"},
            "synthetic": True,
            "chains": [
                {
                    "chain": "equipment",
                    "name": "高端装备",
                    "nodes": [brain.nodes[0]],
                    "measures": {"revenue": {"value": 1200.0, "previous": 1000.0}},
                }
            ],
            "series": {"revenue": [{"month": m, "value": round(values.uniform(80, 120), 1)} for m in months(36)]},
            "sources": ["enterprise.enterprise_monthly", "industry.product", "public.enterprise"],
            "as_of": "2026-11-20T08:15:00Z",
        }
