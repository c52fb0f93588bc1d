"""A small stand-in for the platform's APIs, so that pages can be tested alone: the answers have the real forms.

Everything is seeded. Passwords, tokens and organisations are invented.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import random
from typing import Any

from brain_kit.application import add_problem_handlers
from brain_kit.problems import InvalidInput, NotFound, RateLimited, Unauthenticated
from brain_kit.service import Platform, ServiceRuntime
from fastapi import FastAPI, Request, Response

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
        nodes = []
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
        links = []
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
        pushes = []
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
    return {"name": name, "title_zh": title, "title_en": name, "type": kind, "unit": unit, "rules": rules}


CONTRACTS: dict[str, dict[str, Any]] = {
    "public.enterprise": {
        "title_zh": "企业",
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
        "title_zh": "企业月度经营",
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
        "title_zh": "产品",
        "title_en": "Products",
        "key": ["uscc", "product_id"],
        "access": "government",
        "library": "industry",
        "classification": "一般-2",
        "columns": [_column("uscc", "统一社会信用代码", "string"), _column("product_id", "产品编号", "string")],
        "example": {"uscc": ENTERPRISE_ORG, "product_id": "P1"},
    },
}


def identity_app(brain: FakeBrain) -> FastAPI:
    """Sign-in, organisations, keys, audit."""
    app = FastAPI()
    add_problem_handlers(app)
    organisations = [
        {"uscc": OPERATOR_ORG, "name": "示例运营中心", "kind": "operator", "region": "370000"},
        {"uscc": ENTERPRISE_ORG, "name": "示例机床有限公司", "kind": "enterprise", "region": "370100"},
    ]
    keys = [{"id": "key_1", "org": ENTERPRISE_ORG, "name": "ERP", "state": "active",
             "expires_at": "2027-11-01T00:00:00Z", "last_used_at": None}]  # fmt: skip

    @app.post("/internal/service-tokens")
    def service_token() -> dict[str, Any]:
        return {"token": "service", "expires_in": 300}

    @app.post("/v1/sessions")
    async def sign_in(request: Request) -> dict[str, Any]:
        body = await request.json()
        if body["user"] == "locked":
            raise RateLimited("尝试过多", retry_after_s=30)
        person = PEOPLE.get(body["user"])
        if person is None or person[0] != body["password"]:
            raise Unauthenticated("用户名或密码不正确")
        access = token_for(body["user"], *person[1:])
        return {"access_token": access, "refresh_token": f"refresh-{body['user']}", "expires_in": 300}

    @app.post("/v1/sessions/refresh")
    async def refresh(request: Request) -> dict[str, Any]:
        given = (await request.json())["refresh_token"]
        if given in brain.revoked:
            raise Unauthenticated("刷新令牌已失效")
        user = given.removeprefix("refresh-")
        return {"access_token": token_for(user, *PEOPLE[user][1:]), "refresh_token": given, "expires_in": 300}

    @app.post("/v1/sessions/revoke")
    async def revoke(request: Request) -> Response:
        brain.revoked.add((await request.json())["refresh_token"])
        return Response(status_code=204)

    @app.get("/v1/organisations")
    def list_organisations() -> dict[str, Any]:
        return {"items": organisations, "next": None}

    @app.get("/v1/organisations/{uscc}")
    def organisation(uscc: str) -> dict[str, Any]:
        found = next((org for org in organisations if org["uscc"] == uscc), None)
        if found is None:
            raise NotFound("没有这个组织")
        return found

    @app.post("/v1/organisations", status_code=201)
    async def add_organisation(request: Request) -> dict[str, Any]:
        body = await request.json()
        if not body["uscc"].startswith("91"):
            raise InvalidInput("统一社会信用代码校验位不符", errors=[{"field": "uscc", "reason": "校验位应为 X"}])
        organisations.append(body)
        return dict(body)

    @app.get("/v1/keys")
    def list_keys() -> dict[str, Any]:
        return {"items": keys, "next": None}

    @app.post("/v1/keys", status_code=201)
    async def add_key(request: Request) -> dict[str, Any]:
        body = await request.json()
        keys.append({**keys[0], "id": f"key_{len(keys) + 1}", **body})
        return {**keys[-1], "key": "brk_only_once"}

    @app.post("/v1/keys/{key_id}/rotate", status_code=201)
    def rotate(key_id: str) -> dict[str, Any]:
        return {"id": f"{key_id}b", "key": "brk_rotated"}

    @app.delete("/v1/keys/{key_id}", status_code=204)
    def revoke_key(key_id: str) -> None:
        keys[0]["state"] = "revoked"
        brain.calls.append(("revoke", key_id))

    @app.get("/v1/audit")
    def audit() -> dict[str, Any]:
        entry = {"seq": 1, "at": "2026-11-21T05:00:00Z", "subject": "usr_1", "name": "operator", "org": OPERATOR_ORG,
                 "action": "dataset.push", "object": "public.enterprise", "outcome": "ok", "hash": "ab12cd34ef56"}  # fmt: skip
        return {"items": [entry], "next": None}

    @app.get("/v1/audit/verify")
    def verify() -> dict[str, Any]:
        return {"ok": True, "records": 1, "first_broken": None, "head": "ab12cd34ef56"}

    return app


def hub_app(brain: FakeBrain) -> FastAPI:
    """Catalogue, rows, pushes, queries."""
    app = FastAPI()
    add_problem_handlers(app)

    def described(name: str) -> dict[str, Any]:
        if name not in CONTRACTS:
            raise NotFound(f"没有数据集 {name}")
        return {"name": name, "warehouse": name.split(".")[0], "version": "1.0.0", "description": "", "owner": OPERATOR_ORG,
                **CONTRACTS[name]}  # fmt: skip

    @app.get("/v1/datasets")
    def datasets() -> dict[str, Any]:
        return {"items": [described(name) for name in CONTRACTS], "next": None}

    @app.get("/v1/datasets/{name}")
    def dataset(name: str) -> dict[str, Any]:
        return described(name)

    @app.get("/v1/statistics")
    def statistics() -> dict[str, Any]:
        if "statistics" in brain.failing:
            raise RateLimited("统计暂不可用", retry_after_s=3)
        sizes = {"public": 4_126_000, "industry": 19_063_000, "enterprise": 884_000}
        return {
            "warehouses": [
                {
                    "warehouse": name,
                    "tables": 6,
                    "rows": rows,
                    "bytes": rows * 41,
                    "last_commit": "2026-11-21T06:00:00Z",
                }
                for name, rows in sizes.items()
            ],
            "datasets": [
                {"dataset": name, "rows": 2000, "bytes": 81_000, "owners": 12, "last_commit": "2026-11-21T06:00:00Z"}
                for name in CONTRACTS
            ],
        }

    @app.get("/v1/datasets/{name}/rows")
    def rows(request: Request, name: str, columns: str = "", filter: str = "", after: str = "") -> Any:  # noqa: A002
        if filter == "nonsense":
            raise InvalidInput("筛选条件不能理解：nonsense", position=0)
        names = columns.split(",") if columns else [column["name"] for column in described(name)["columns"]]
        types = {column["name"]: column["type"] for column in described(name)["columns"]}
        start = int(after or 0)
        items = [
            {"uscc": e["id"], "name": e["name"], "region": "370100", "month": "2026-10", "revenue": 1000.5 + index,
             "employees": None if index == 1 else index, "product_id": f"P{index}"}
            for index, e in enumerate(brain.enterprises[start : start + 100])
        ]  # fmt: skip
        items = [{key: item[key] for key in names} for item in items]
        if request.headers.get("accept") == "text/csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, names)
            writer.writeheader()
            writer.writerows(items)
            return Response(text.getvalue(), media_type="text/csv")
        following = str(start + 100) if start + 100 < len(brain.enterprises) else None
        return {
            "columns": [{"name": n, "type": types[n]} for n in names],
            "items": items,
            "next": following,
            "snapshot": "s1",
        }

    @app.get("/v1/pushes")
    def pushes(dataset: str = "", state: str = "", after: str = "", limit: int = 50) -> dict[str, Any]:
        found = [
            p for p in brain.pushes if (not dataset or p["dataset"] == dataset) and (not state or p["state"] == state)
        ]
        start = int(after or 0)
        return {
            "items": found[start : start + limit],
            "next": str(start + limit) if start + limit < len(found) else None,
        }

    @app.get("/v1/pushes/{push_id}")
    def push(push_id: str) -> dict[str, Any]:
        found = next((p for p in brain.pushes if p["id"] == push_id), None)
        if found is None:
            raise NotFound("没有这次推送")
        return found

    @app.get("/v1/pushes/{push_id}/rejects")
    def rejects(request: Request, push_id: str) -> Any:
        items = [
            {"row": 3, "field": "uscc", "value": "91370100BAD", "code": "bad_uscc", "reason": "统一社会信用代码应为 18 位",
             "fix": "补全代码，校验位为 X"},
            {"row": 7, "field": "revenue", "value": "-5", "code": "below_minimum", "reason": "小于最小值 0", "fix": "填不小于 0 的数"},
        ]  # fmt: skip
        if request.headers.get("accept") == "text/csv":
            lines = ["uscc,month,revenue,employees,_row,_field,_code,_reason",
                     "91370100BAD,2026-09,12.5,8,3,uscc,bad_uscc,统一社会信用代码应为 18 位",
                     f"{ENTERPRISE_ORG},2026-09,-5,8,7,revenue,below_minimum,小于最小值 0"]  # fmt: skip
            return Response("\n".join(lines) + "\n", media_type="text/csv")
        return {"items": items, "next": None}

    @app.post("/v1/datasets/{name}/pushes")
    async def send(request: Request, name: str, mode: str = "append") -> Any:
        body = await request.body()
        brain.calls.append(
            ("push", {"dataset": name, "mode": mode, "type": request.headers["content-type"], "body": body})
        )
        receipt = {**brain.pushes[-1], "id": f"psh_new{len(brain.calls)}", "dataset": name, "mode": mode, "rejected": 0,
                   "state": "received" if b"slow" in body else "committed", "received": 2, "accepted": 2}  # fmt: skip
        brain.pushes.insert(0, receipt)
        return receipt

    @app.post("/v1/queries")
    async def query(request: Request) -> Any:
        body = await request.json()
        brain.calls.append(("query", body))
        if "DROP" in body["sql"]:
            raise InvalidInput("只允许 SELECT：第 1 行的 DROP 会改动数据。", code_position=1)
        if request.headers.get("accept") == "text/csv":
            return Response("month,revenue\n2026-09,10\n", media_type="text/csv")
        values = random.Random(3)
        items = [{"month": month, "revenue": round(values.uniform(90, 120), 2)} for month in months(24)]
        return {"id": "qry_1", "columns": [{"name": "month", "type": "VARCHAR"}, {"name": "revenue", "type": "DOUBLE"}],
                "items": items, "next": None}  # fmt: skip

    @app.delete("/v1/queries/{query_id}", status_code=204)
    def cancel(query_id: str) -> None:
        brain.calls.append(("cancel", query_id))

    @app.get("/v1/queries")
    def queries() -> dict[str, Any]:
        item = {"id": "qry_0", "sql": "SELECT 1", "state": "done", "rows": 1, "started_at": "2026-11-21T05:59:00Z"}
        return {"items": [item], "next": None}

    return app


def government_app(brain: FakeBrain) -> FastAPI:
    """Overview, panorama, node and enterprise profiles."""
    app = FastAPI()
    add_problem_handlers(app)

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
    def overview(request: Request) -> dict[str, Any]:
        if "overview" in brain.failing:
            raise RateLimited("稍后再试", retry_after_s=5)
        counts = brain.counts()
        trend = [[month, 100 + index * 1.7] for index, month in enumerate(months(12))]
        missing = next((n for n in brain.nodes if n["level"] == "missing"), brain.nodes[0])

        def figure(**given: Any) -> dict[str, Any]:
            base = {"change": None, "change_basis": None, "trend": [], "note": None, "as_of": "2026-10"}
            return base | {"title_en": given["id"], "source": "public.enterprise", "records_url": "/datasets"} | given

        return {
            "chains": chains()["items"],
            "chain": "equipment",
            "figures": [
                figure(id="enterprises", title="链上企业", value=len(brain.enterprises), unit="家", records_url="/datasets"),
                figure(id="revenue", title="营业收入", value=12_864_000, unit="万元", change=0.072, change_basis="同比", trend=trend,
                       source="enterprise.enterprise_monthly"),
                figure(id="energy", title="综合能耗", value=None, unit="吨标准煤", note="public.energy_monthly 还没有数据"),
                figure(id="missing_nodes", title="缺失环节", value=counts["missing"], unit="个", records_url="/panorama?chain=equipment&level=missing"),
                figure(id="weak_nodes", title="薄弱环节", value=counts["weak"], unit="个"),
            ],
            "findings": [
                {"severity": "bad", "title": f"「{missing['name']}」环节缺失", "detail": "本地没有企业；影响下游 3 个环节",
                 "action": "查看", "url": f"/panorama/equipment/nodes/{missing['id']}", "sort": 1003},
            ],
            "regions": {},
            "attributes": {},
            "as_of": "2026-11-20T08:15:00Z",
            **brain.about(),
        }  # fmt: skip

    @app.get("/v1/chains/{chain}/panorama")
    def panorama(chain: str) -> dict[str, Any]:
        if chain != "equipment":
            raise NotFound(f"没有产业链 {chain}")
        return {"chain": chain, "nodes": brain.nodes, "links": brain.links, "counts": brain.counts(), "unresolved_links": [],
                "unknown_member_nodes": [], "measure": "revenue", "measure_as_of": "2026-10", "region": "37",
                "level_rules": {"missing": "本地没有企业", "weak": "本地企业少于 3 家", "strong": "不少于 5 家", "middle": "其余"},
                **brain.about()}  # fmt: skip

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
        return {"node": found, "upstream": [near(k["from"], k) for k in brain.links if k["to"] == node],
                "downstream": [near(k["to"], k) for k in brain.links if k["from"] == node], "enterprises": enterprises,
                **brain.about()}  # fmt: skip

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
            "chains": [{"chain": "equipment", "name": "高端装备", "nodes": [brain.nodes[0]],
                        "measures": {"revenue": {"value": 1200.0, "previous": 1000.0}}}],
            "series": {"revenue": [{"month": m, "value": round(values.uniform(80, 120), 1)} for m in months(36)]},
            "measures": brain.about()["measures"],
            "sources": ["enterprise.enterprise_monthly", "industry.product", "public.enterprise"],
            "as_of": "2026-11-20T08:15:00Z",
        }  # fmt: skip

    return app


def events_app(brain: FakeBrain, service: str, app: FastAPI | None = None) -> FastAPI:
    """The internal event routes of a service."""
    app = app or FastAPI()

    @app.get("/internal/events")
    def status() -> dict[str, Any]:
        group = {"service": service, "group": service, "outbox": {"pending": 0, "oldest_pending_s": None},
                 "lag": {"brain.warehouse.commit.v1": 2}, "dead_letters": {"dead": 1, "queued": 0, "replayed": 0}}  # fmt: skip
        return {"items": [group], "next": None}

    @app.get("/internal/events/recent")
    def recent() -> dict[str, Any]:
        return {"items": [{"id": "evt_1", "topic": "brain.warehouse.push.v1", "key": "public.enterprise",
                           "time": "2026-11-21T06:00:00Z", "published_at": None}], "next": None}  # fmt: skip

    @app.get("/internal/events/dead")
    def dead() -> dict[str, Any]:
        return {"items": [{"id": 5, "topic": "brain.warehouse.commit.v1", "group": service, "state": "dead",
                           "error": "KeyError: 'dataset'", "at": "2026-11-21T06:00:00Z"}], "next": None}  # fmt: skip

    @app.post("/internal/events/dead/{dead_id}/replay", status_code=202)
    def replay(dead_id: int) -> dict[str, Any]:
        brain.calls.append(("replay", (service, dead_id)))
        return {"id": dead_id, "state": "queued"}

    return app


def register(platform: Platform, brain: FakeBrain) -> None:
    """Put the fake services on a platform."""
    makers = {"identity": identity_app, "data-hub": hub_app, "government-services": government_app}
    for name, make in makers.items():
        platform.register(ServiceRuntime(name, events_app(brain, name, make(brain))))
    platform.register(ServiceRuntime("service-portal", events_app(brain, "service-portal")))
