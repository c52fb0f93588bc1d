"""The fake data hub: catalogue, rows, pushes, queries."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

from brain_kit.application import add_problem_handlers
from brain_kit.problems import InvalidInput, NotFound, RateLimited, Unauthenticated
from fastapi import FastAPI, Request, Response

from tests.service_portal.portal.fake.data import CONTRACTS, ENTERPRISE_ORG, OPERATOR_ORG, FakeBrain, months

# The one whose rows are of an organisation made by a program.
SYNTHETIC = "enterprise.enterprise_monthly"


def hub_app(brain: FakeBrain) -> FastAPI:
    """Every route of the fake data hub."""
    app = FastAPI()
    add_problem_handlers(app)
    _catalogue(app, brain)
    _versions(app, brain)
    _rows(app, brain)
    _pushes(app, brain)
    _queries(app, brain)
    return app


def _described(name: str) -> dict[str, Any]:
    if name not in CONTRACTS:
        raise NotFound(f"没有数据集 {name}")
    return {
        "name": name,
        "warehouse": name.split(".")[0],
        "version": "1.0.0",
        "description": "",
        "owner": OPERATOR_ORG,
        **CONTRACTS[name],
    }


def _catalogue(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/datasets")
    def datasets() -> dict[str, Any]:
        return {"items": [_described(name) for name in CONTRACTS], "next": None}

    @app.get("/v1/datasets/{name}")
    def dataset(name: str) -> dict[str, Any]:
        if "unauthenticated" in brain.failing:
            raise Unauthenticated("令牌已失效")
        return _described(name)

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
                {
                    "dataset": name,
                    "rows": 2000,
                    "bytes": 81_000,
                    "owners": 12,
                    "synthetic": name == SYNTHETIC,
                    "last_commit": "2026-11-21T06:00:00Z",
                }
                for name in CONTRACTS
            ],
        }


def _versions(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/datasets/{name}/versions")
    def versions(name: str) -> dict[str, Any]:
        pins = [
            {"id": "pin_1", "version": "8001", "org": OPERATOR_ORG, "reason": "三季度评价", "held_by": None},
            {"id": "pin_2", "version": "8001", "org": OPERATOR_ORG, "reason": "血缘", "held_by": "dataset:public.x"},
        ]
        return {
            "items": [
                {"version": f"800{number}", "sequence": number, "committed_at": f"2026-11-2{number}T06:00:00Z",
                 "rows": None if number == 2 else 1000 + number, "is_current": number == 2,
                 "pins": pins if number == 1 else []}
                for number in (2, 1)
            ],
            "next": None,
        }  # fmt: skip

    @app.post("/v1/datasets/{name}/versions/{version}/pins", status_code=201)
    async def pin(request: Request, name: str, version: str) -> dict[str, Any]:
        brain.calls.append(("pin", (name, version, await request.json())))
        return {"id": "pin_3"}

    @app.delete("/v1/datasets/{name}/versions/{version}/pins/{pin_id}", status_code=204)
    def unpin(name: str, version: str, pin_id: str) -> None:
        brain.calls.append(("unpin", (name, version, pin_id)))

    @app.post("/v1/derived", status_code=202)
    async def derive(request: Request) -> dict[str, Any]:
        body = await request.json()
        brain.calls.append(("derive", body))
        if body["name"] == "public.taken":
            raise InvalidInput("数据集名称 public.taken 已被占用，请换一个名称")
        return {"dataset": body["name"], "rows": 24, "push": brain.pushes[0] | {"id": "psh_derived"}}

    @app.get("/v1/lineage")
    def lineage(dataset: str = "", node: str = "", version: str = "", direction: str = "both") -> dict[str, Any]:
        if dataset and dataset not in CONTRACTS:
            raise NotFound(f"没有数据集 {dataset}")
        start = node or f"dataset:{dataset}@{version or '8002'}"
        return lineage_around(start, dataset or "enterprise.enterprise_monthly")


def lineage_around(start: str, name: str) -> dict[str, Any]:
    """A graph with every kind of node around a start."""
    run, push, org = "run:0197a1c2-3b4d-7e5f-8a6b-1c2d3e4f5a6b", "push:psh_1", f"org:{ENTERPRISE_ORG}"
    source, external = "dataset:public.enterprise@7001", f"external:{ENTERPRISE_ORG}|postgres://erp|orders"
    nodes = [
        {"id": start, "distance": 0, "kind": "dataset", "name": name, "title": "企业月报", "version": "8002",
         "sequence": 2, "is_current": True, "committed_at": "2026-11-22T06:00:00Z"},
        {"id": push, "distance": 1, "kind": "push", "name": "psh_1", "mode": "upsert", "accepted": 12,
         "at": "2026-11-22T05:59:00Z"},
        {"id": run, "distance": 1, "kind": "run", "name": "derive:x", "state": "COMPLETE",
         "state_at": "2026-11-22T06:00:00Z",
         "columns": [{"output": start, "column": "revenue", "input": source, "from_column": "revenue_10k",
                      "how": "AGGREGATION"}]},
        {"id": org, "distance": 2, "kind": "org", "name": ENTERPRISE_ORG},
        {"id": source, "distance": 2, "kind": "dataset", "name": "public.enterprise", "title": "企业名录",
         "version": None, "sequence": None, "is_current": False, "committed_at": None},
        {"id": external, "distance": 2, "kind": "external", "name": "orders", "namespace": "postgres://erp"},
        {"id": "component:oee@1.0.0", "distance": 2, "kind": "component", "name": "oee@1.0.0"},
        {"id": "indicator:000/L1P1", "distance": 1, "kind": "indicator", "name": "000/L1P1"},
    ]  # fmt: skip
    ends = [
        (push, start, "push"), (org, push, "source"), (run, start, "output"), (source, run, "input"),
        (external, run, "input"), ("component:oee@1.0.0", run, "uses"), (start, "indicator:000/L1P1", "computes"),
    ]  # fmt: skip
    edges = [{"from": a, "to": b, "kind": kind, "columns": ["revenue"]} for a, b, kind in ends]
    return {"start": [start], "nodes": nodes, "edges": edges, "next": None, "truncated": False, "limited": False}


def _rows(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/datasets/{name}/rows")
    def rows(
        request: Request,
        name: str,
        columns: str = "",
        filter: str = "",  # noqa: A002
        after: str = "",
        version: str = "",
    ) -> Any:
        if filter == "nonsense":
            raise InvalidInput("筛选条件不能理解：nonsense", position=0)
        names = columns.split(",") if columns else [column["name"] for column in _described(name)["columns"]]
        types = {column["name"]: column["type"] for column in _described(name)["columns"]}
        start = int(after or 0)
        items = [
            {
                "uscc": e["id"],
                "name": e["name"],
                "region": "370100",
                "month": "2026-10",
                "revenue": 1000.5 + index,
                "employees": None if index == 1 else index,
                "product_id": f"P{index}",
            }
            for index, e in enumerate(brain.enterprises[start : start + 100])
        ]
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
            "snapshot": version or "8002",
        }


def _pushes(app: FastAPI, brain: FakeBrain) -> None:
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
            {
                "row": 3,
                "field": "uscc",
                "value": "91370100BAD",
                "code": "bad_uscc",
                "reason": "统一社会信用代码应为 18 位",
                "fix": "补全代码，校验位为 X",
            },
            {
                "row": 7,
                "field": "revenue",
                "value": "-5",
                "code": "below_minimum",
                "reason": "小于最小值 0",
                "fix": "填不小于 0 的数",
            },
        ]
        if request.headers.get("accept") == "text/csv":
            lines = [
                "uscc,month,revenue,employees,_row,_field,_code,_reason",
                "91370100BAD,2026-09,12.5,8,3,uscc,bad_uscc,统一社会信用代码应为 18 位",
                f"{ENTERPRISE_ORG},2026-09,-5,8,7,revenue,below_minimum,小于最小值 0",
            ]
            return Response("\n".join(lines) + "\n", media_type="text/csv")
        return {"items": items, "next": None}

    @app.post("/v1/datasets/{name}/pushes")
    async def send(request: Request, name: str, mode: str = "append") -> Any:
        body = await request.body()
        brain.calls.append(
            ("push", {"dataset": name, "mode": mode, "type": request.headers["content-type"], "body": body})
        )
        receipt = {
            **brain.pushes[-1],
            "id": f"psh_new{len(brain.calls)}",
            "dataset": name,
            "mode": mode,
            "rejected": 0,
            "state": "received" if b"slow" in body else "committed",
            "received": 2,
            "accepted": 2,
        }
        brain.pushes.insert(0, receipt)
        return receipt


def _queries(app: FastAPI, brain: FakeBrain) -> None:
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
        return {
            "id": "qry_1",
            "columns": [{"name": "month", "type": "VARCHAR"}, {"name": "revenue", "type": "DOUBLE"}],
            "items": items,
            "next": None,
        }

    @app.delete("/v1/queries/{query_id}", status_code=204)
    def cancel(query_id: str) -> None:
        brain.calls.append(("cancel", query_id))

    @app.get("/v1/queries")
    def queries() -> dict[str, Any]:
        item = {"id": "qry_0", "sql": "SELECT 1", "state": "done", "rows": 1, "started_at": "2026-11-21T05:59:00Z"}
        return {"items": [item], "next": None}
