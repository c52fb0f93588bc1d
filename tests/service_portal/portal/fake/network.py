"""The fake compute scheduler's inventory, settlement and simulations."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.problems import Conflict, NotFound
from fastapi import Body, FastAPI, Request, Response

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, OPERATOR_ORG, FakeBrain
from tests.service_portal.portal.fake.datanet import add_data_network

OWNER, TENANT = OPERATOR_ORG, ENTERPRISE_ORG
SIMULATION = "sim_00000000000000000000000001"
RUNNING, PACKED = "sim_00000000000000000000000002", "sim_00000000000000000000000003"
METRICS = {"mean_bounded_slowdown": 4.2, "utilisation": 81.5, "mean_wait_s": 300.0, "longest_wait_s": 9000.0}
PLAIN = {"mean_bounded_slowdown": 8.4, "utilisation": 81.5, "mean_wait_s": 290.0, "longest_wait_s": 9900.0}


def _centre(name: str, **given: Any) -> dict[str, Any]:
    return {
        "centre": name, "title": f"中心 {name}", "kind": "edge", "owner": OWNER, "state": "open",
        "seen_at": "2026-11-21T06:00:00Z", "nodes": 2, "nodes_up": 2, "cores": 64.0, "used_cores": 16.0,
        "memory_mb": 128000, "jobs": 3, "accelerators": {"A100": 4}, "region": "370303", "region_name": "张店区",
        "eflops": {"fp16": 0.4}, "as_of": "2026-09-30", "updated_at": "2026-11-01T00:00:00Z", "longitude": None,
        "latitude": None, "storage_tb": 800.0, "racks_built": 40, "racks_planned": 100, "dedicated": True,
        "source": "建设台账",
    } | given  # fmt: skip


CENTRES = [
    _centre("zibo", kind="region"),
    _centre("jinan", kind="industry", region="370102", region_name="历下区", used_cores=60.0, dedicated=False),
    _centre("edge", region=None, region_name=None, as_of=None, state="lost", nodes=0, nodes_up=0, cores=0, used_cores=0,
            jobs=0, storage_tb=None, racks_built=None, racks_planned=None, dedicated=None, source=None, eflops={}),
]  # fmt: skip
TOTAL = {
    "centres": 3, "stated": 2, "cores": 128.0, "used_cores": 76.0, "storage_tb": 1600.0,
    "eflops": {"fp64": None, "fp32": None, "fp16": 0.8, "int8": None}, "racks_built": 80, "racks_planned": 200,
    "dedicated": 1,
}  # fmt: skip
STATEMENT = {
    "period": "2026-10", "state": "draft", "tenant": TENANT, "owner": OWNER, "ownership": "borrowed", "entries": 12,
    "not_charged": 2, "energy_kwh": 3.25, "carbon_g": 1724.45, "with_energy": 12, "with_carbon": 12,
    "amount": "1286.400001", "payable": "1286.40", "currency": "CNY",
}  # fmt: skip
ITEM = {"resource": "core", "quantity": 100.5, "unit": "core_hour", "price": "0.120000", "amount": "12.060000"}
ENTRY = {
    "id": "7", "attempt": "job_succeeded.1", "segment": 0, "revision": 0, "kind": "usage", "job": "job_succeeded",
    "org": TENANT, "owner": OWNER, "centre": "zibo", "outcome": "succeeded", "charge": "charged", "period": "2026-10",
    "price_list": "prl_1", "reason": "", "posted_by": "platform", "reverses": None, "items": [ITEM],
    "started_at": "2026-10-21T06:00:05Z", "ended_at": "2026-10-21T06:01:07Z", "posted_at": "2026-10-21T06:01:08Z",
    "wall_s": 62.0, "energy_kwh": 0.01, "carbon_g": 5.3, "amount": "12.060000", "currency": "CNY",
}  # fmt: skip


def _simulation(identity: str, state: str) -> dict[str, Any]:
    ended = state == "succeeded"
    result = {
        "trace": "十月", "policy": "short-first", "jobs": 3, "centres": {"zibo": 2},
        "metrics": METRICS | {"decisions_per_s": 900.0}, "reference": {"name": "EASY", "metrics": PLAIN},
    }  # fmt: skip
    trace = {"format": "platform", "since": "2026-10-01T00:00:00+08:00", "until": "2026-11-01T00:00:00+08:00",
             "files": {}, "seed": 0, "limit": 50000, "processors": None, "load": 0.8, "staging_s": 600}  # fmt: skip
    return {
        "id": identity, "title": "2026 年 10 月的作业", "policy": "short-first", "trace": trace, "state": state,
        "reason": "3 个作业" if ended else "正在试算", "done": 3 if ended else 1, "total": 3,
        "result": result if ended else None, "created_by": "usr_1", "created_at": "2026-11-21T06:00:00Z",
        "started_at": "2026-11-21T06:00:01Z", "ended_at": "2026-11-21T06:00:09Z" if ended else None,
    }  # fmt: skip


def _packed() -> dict[str, Any]:
    """A pod list that was packed: no times, a curve."""
    result = {
        "trace": "pods.csv", "policy": "default", "jobs": 200, "centres": {}, "nodes": 12, "gpus": 96,
        "metrics": {"allocation_pct": 96.04, "placed_pct": 80.0},
        "reference": {"name": "FGD", "metrics": {"allocation_pct": 95.19, "placed_pct": 80.0}},
        "curve": {"policy": [0.0, 1.0, 2.0], "reference": [0.0, 1.0, 1.5]},
    }  # fmt: skip
    made = _simulation(PACKED, "succeeded")
    trace = made["trace"] | {"format": "openb", "files": {"pods.csv": "c" * 64}, "nodes": {"nodes.csv": "d" * 64}}
    return made | {"policy": "default", "title": "pods.csv", "trace": trace | {"since": None}, "result": result}


def _scheduled(number: int) -> dict[str, Any]:
    return {
        "job": f"job_{number}", "tenant": TENANT, "home": "zibo", "processors": 1, "submitted_at": 10.0 * number,
        "run_s": 100.0, "start_at": 10.0 * number, "centre": "zibo", "wait_s": 0.0,
        "reference_start_at": 100.0 * number, "reference_centre": "zibo", "reference_wait_s": 90.0 * number,
    }  # fmt: skip


def add_network(app: FastAPI, brain: FakeBrain) -> None:
    """Inventory, utilisation and the data network."""
    add_data_network(app, brain)

    @app.get("/v1/inventory")
    def inventory() -> dict[str, Any]:
        kinds = {kind: TOTAL | {"centres": 1} for kind in ("region", "industry", "edge")}
        link = {"one": "jinan", "other": "zibo", "capacity_gbit_s": 100.0, "latency_ms": 2.5, "note": "",
                "as_of": "2026-09-30", "updated_at": "2026-11-01T00:00:00Z"}  # fmt: skip
        l2p1 = {"storage_tb": 1600.0, "eflops_fp16": 0.8, "unit": "TB/EFLOPS", "text": "2 个中心：1600 TB，0.8 EFLOPS"}
        return {"items": CENTRES, "kinds": kinds, "total": TOTAL, "links": [link], "l2p1": l2p1, "as_of": "2026-09-30"}

    @app.get("/v1/utilisation")
    def utilisation(days: int) -> dict[str, Any]:
        names = [f"2026-11-{1 + day % 28:02d}" for day in range(days)]
        centres = [
            {"centre": "zibo", "title": "中心 zibo", "cores": 64.0, "core_hours": [100.0] * days,
             "utilisation_pct": [float(day % 7 * 10) for day in range(days)], "mean_pct": 30.0},
            {"centre": "edge", "title": "中心 edge", "cores": 0.0, "core_hours": [0.0] * days,
             "utilisation_pct": [None] * days, "mean_pct": None},
        ]  # fmt: skip
        tenants = [{"org": TENANT, "weight": 1.0, "core_hours": 75.0, "share_pct": 75.0}]
        flows = [{"org": TENANT, "centre": "zibo", "core_hours": 75.0}]
        return {"days": names, "centres": centres, "flows": flows, "tenants": tenants, "tenants_in_all": 2,
                "core_hours": 100.0, "jain_index": 0.8}  # fmt: skip


def add_settlement(app: FastAPI, brain: FakeBrain) -> None:
    """Months, statements, price lists and the ledger."""

    @app.get("/v1/settlement/periods")
    def periods() -> dict[str, Any]:
        closed = {"closed_at": "2026-10-02T00:00:00Z", "closed_by": "usr_1", "digest": "ab" * 32, "state": "closed"}
        base = {"entries": 12, "amount": "1286.400001", "currency": "CNY"}
        draft = {"closed_at": None, "closed_by": None, "digest": None, "state": "draft"}
        return {
            "items": [{"period": "2026-10", **base, **draft}, {"period": "2026-09", **base, **closed}],
            "next": None,
        }

    @app.get("/v1/settlement/statements")
    def statements(period: str, org: str = "") -> dict[str, Any]:
        items = [STATEMENT | {"period": period}] if org in ("", TENANT) else []
        return {"period": period, "state": "draft", "currency": "CNY", "items": items, "amount": "1286.400001",
                "borrowed_amount": "1286.400001", "unposted": 3}  # fmt: skip

    @app.get("/v1/settlement/statements/{period}/{org}/{owner}")
    def statement(period: str, org: str, owner: str) -> dict[str, Any]:
        if org != TENANT:
            raise NotFound("没有这张结算单")
        line = {"centre": "zibo", "charge": "charged", "price_list": "prl_1", "entries": 10}
        other = ITEM | {"resource": "accelerator:A100", "unit": "accelerator_hour", "price": None}
        return STATEMENT | {"lines": [line | ITEM, line | other]}

    @app.get("/v1/settlement/export")
    def export(period: str, format: str) -> Response:  # noqa: A002 - the parameter's name in the API
        return Response(f"{period},{format}\n".encode(), media_type="text/csv")

    @app.post("/v1/settlement/periods/{period}/close")
    def close(period: str) -> dict[str, Any]:
        brain.calls.append(("close", period))
        if period == "2026-09":
            raise Conflict("2026-09 已关账")
        return {"period": period, "state": "closed"}

    @app.get("/v1/price-lists")
    def price_lists() -> dict[str, Any]:
        item = {"id": "prl_1", "centre": "", "valid_from": "2026-01-01T00:00:00Z", "currency": "CNY",
                "core_hour": "0.120000", "gib_hour": "0.015000", "gb_moved": "0.000000",
                "accelerator_hour": {"*": "3.000000", "A100": "6.500000"}, "note": "通用", "created_by": "usr_1",
                "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
        return {"items": [item], "next": None}

    @app.get("/v1/ledger")
    def ledger() -> dict[str, Any]:
        return {"items": [ENTRY], "next": None}


VALUES = {
    "priority_s": 86400.0, "fair_share_s": 604800.0, "short_first": 0.0, "longest_set_back_s": 86400.0,
    "preemption": False, "preempt_after_s": 300.0, "preempt_every_s": 60.0, "preempt_most": 4, "preempt_per_job": 2,
    "staging_weight": 1.0, "price_s": 0.0, "carbon_s": 0.0, "wait_weight": 10.0, "longest_hold_s": 0.0,
}  # fmt: skip
POLICY = {
    "id": "pol_1", "source": "version", "base": "default", "values": VALUES, "note": "按会议纪要",
    "created_by": "usr_1", "created_at": "2026-11-20T06:00:00Z",
}  # fmt: skip


def add_policy(app: FastAPI, brain: FakeBrain) -> None:
    """The policy, quotas and groups."""

    @app.get("/v1/policy")
    def policy() -> dict[str, Any]:
        return POLICY

    @app.get("/v1/policy/versions")
    def versions() -> dict[str, Any]:
        return {"items": [POLICY], "next": None}

    @app.put("/v1/policy")
    def set_policy(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("policy", body))
        if body["replaces"] != "pol_1":
            raise Conflict("策略已被别人修改，请先看现在的版本再改")
        return POLICY

    _quotas(app, brain)


def _quotas(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/tenants")
    def tenants() -> dict[str, Any]:
        item = {"org": TENANT, "quota": {"cores": 16.0, "memory_mb": 65536}, "is_default": False, "weight": 2.0,
                "group": "zibo", "lending_limit": {"cores": 4.0}, "borrowing_limit": {},
                "decayed_usage_s": {"cores": 7200.0}, "updated_at": "2026-11-01T00:00:00Z"}  # fmt: skip
        return {"items": [item], "next": None}

    @app.get("/v1/quota-groups")
    def groups() -> dict[str, Any]:
        item = {"id": "zibo", "title": "淄博市", "parent": None, "quota": {"cores": 8.0}, "lending_limit": {},
                "borrowing_limit": {}, "updated_at": "2026-11-01T00:00:00Z"}  # fmt: skip
        return {"items": [item], "next": None}

    @app.put("/v1/tenants/{org}/quota")
    def put_quota(org: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("quota", (org, body)))
        return {}

    @app.delete("/v1/tenants/{org}/quota", status_code=204)
    def delete_quota(org: str) -> None:
        brain.calls.append(("quota", (org, None)))

    @app.put("/v1/quota-groups/{group}")
    def put_group(group: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("group", (group, body)))
        return {}

    @app.delete("/v1/quota-groups/{group}", status_code=204)
    def delete_group(group: str) -> None:
        brain.calls.append(("group", (group, None)))
        raise Conflict("配额组 zibo 还有成员")


def add_simulations(app: FastAPI, brain: FakeBrain) -> None:
    """One that ended, one that runs."""
    known = {SIMULATION: _simulation(SIMULATION, "succeeded"), RUNNING: _simulation(RUNNING, "running")}
    known[PACKED] = _packed()

    @app.get("/v1/simulations")
    def listed() -> dict[str, Any]:
        return {"items": list(known.values()), "next": None}

    @app.post("/v1/simulations", status_code=202)
    def make(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("simulate", body))
        return known[RUNNING]

    @app.get("/v1/simulations/{simulation}")
    def get(simulation: str) -> dict[str, Any]:
        if simulation not in known:
            raise NotFound("没有这次试算")
        return known[simulation]

    @app.post("/v1/simulations/{simulation}/cancel", status_code=202)
    def cancel(simulation: str) -> dict[str, Any]:
        brain.calls.append(("cancel-simulation", simulation))
        return known[RUNNING]

    @app.delete("/v1/simulations/{simulation}", status_code=204)
    def delete(simulation: str) -> None:
        brain.calls.append(("delete-simulation", simulation))

    @app.get("/v1/simulations/{simulation}/schedule")
    def schedule(simulation: str, request: Request) -> Any:
        if "text/csv" in request.headers.get("accept", ""):
            return Response(b"job,start_at\njob_0,0\n", media_type="text/csv")
        return {"items": [_scheduled(number) for number in range(3)], "next": None, "jobs": 3, "first_at": 0.0}

    @app.put("/v1/files", status_code=201)
    async def put_file(request: Request) -> dict[str, Any]:
        body = await request.body()
        brain.calls.append(("file", len(body)))
        return {"sha256": "c" * 64, "size": len(body)}
