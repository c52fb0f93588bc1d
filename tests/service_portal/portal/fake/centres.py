"""The fake compute scheduler's single centres: keys, fences, inventory, links, energy, carbon."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.problems import Conflict, InvalidInput, NotFound
from fastapi import Body, FastAPI

from tests.service_portal.portal.fake.data import FakeBrain

KEY = "bk_only_shown_once"
ENERGY = {
    "id": "nrg_1", "centre": "zibo", "valid_from": "2026-01-01T00:00:00Z", "core_w": 5.5,
    "accelerator_w": {"A100": 400.0, "*": 300.0}, "pue": 1.3, "carbon_g_kwh": None, "source": "机房实测",
    "as_of": "2026-01-31", "created_by": "usr_1", "created_at": "2026-01-31T00:00:00Z",
}  # fmt: skip
SERIES = {
    "id": "cbn_1", "centre": "zibo", "zone": "CN-SD", "from": "2025-01-01T00:00:00Z", "until": "2025-01-02T00:00:00Z",
    "hours": 24, "least_g_kwh": 500.0, "mean_g_kwh": 611.5, "most_g_kwh": 723.0, "now_g_kwh": 640.5,
    "source": "电网因子", "as_of": "2026-09-30", "created_by": "usr_1", "created_at": "2026-10-01T00:00:00Z",
}  # fmt: skip


HOURS = [
    {"from": "00:00", "until": "07:30", "kind": "valley", "yuan_kwh": "0.300000"},
    {"from": "07:30", "until": "23:00", "kind": "flat", "yuan_kwh": "0.600000"},
    {"from": "23:00", "until": "24:00", "kind": "valley", "yuan_kwh": "0.300000"},
]
TARIFF = {
    "id": "tar_1", "centre": None, "region": "370300", "region_name": "淄博市", "valid_from": "2026-01-01T00:00:00Z",
    "periods": [{"months": list(range(1, 13)), **one} for one in HOURS], "source": "示例电价文件",
    "as_of": "2025-12-31", "note": "", "created_by": "usr_1", "created_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
SUMS = {"amount": "100.000000", "would_be": "120.500000", "change": "20.500000", "change_pct": 20.5}
TRIED = {
    "centre": "", "days": 30, "since": "2026-10-22T06:00:00Z", "until": "2026-11-21T06:00:00Z", "currency": "CNY",
    **SUMS, "resources": [{"resource": "core", **SUMS}, {"resource": "accelerator:A100", **SUMS}],
    "centres": [{"centre": "zibo", **SUMS}], "tenants": [{"org": "91370300MA3C00002Y", **SUMS}],
    "unpriced": ["accelerator:A100"], "kept_out": ["jinan"],
}  # fmt: skip


def add_prices(app: FastAPI, brain: FakeBrain) -> None:
    """Trying and publishing prices and tariffs."""

    @app.post("/v1/price-list-trials")
    def try_prices(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("try-prices", body))
        if body["core_hour"] == "viel":
            raise InvalidInput("价格无法使用", errors=[{"field": "core_hour", "reason": "应为不为负的十进制数"}])
        return TRIED

    @app.post("/v1/price-lists", status_code=201)
    def publish(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("prices", body))
        if body["note"] == "taken":
            raise Conflict("同一中心在同一时刻已有价目，请换一个生效时间")
        return {}

    @app.get("/v1/tariffs")
    def tariffs() -> dict[str, Any]:
        return {"items": [TARIFF], "next": None}

    @app.post("/v1/tariffs", status_code=201)
    def add_tariff(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("tariff", body))
        if "07:00" not in body["csv"]:
            errors = [{"field": "csv", "reason": "3 月 08:00 有两个时段"}]
            raise InvalidInput("电价无法使用", errors=errors)
        return TARIFF


def add_centres(app: FastAPI, brain: FakeBrain, known: list[dict[str, Any]]) -> None:
    """One centre at a time; known: those that the list has."""
    by_id = {item["id"]: item for item in known}

    @app.get("/v1/centres/{centre}")
    def get(centre: str) -> dict[str, Any]:
        if centre not in by_id:
            raise NotFound(f"没有算力中心 {centre}")
        return by_id[centre]

    @app.post("/v1/centres", status_code=201)
    def add(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if body["owner"] == "91370300MA3C00002Y":
            raise InvalidInput("没有这个机构", errors=[{"field": "owner", "reason": "没有登记过的机构"}])
        if body["id"] in by_id:
            raise Conflict(f"已有名为 {body['id']} 的中心，请换一个名字")
        brain.calls.append(("add-centre", body))
        return known[0]

    _changes(app, brain, by_id)
    _costs(app)


def _changes(app: FastAPI, brain: FakeBrain, by_id: dict[str, dict[str, Any]]) -> None:
    @app.post("/v1/centres/{centre}/keys", status_code=201)
    def make_key(centre: str) -> dict[str, Any]:
        brain.calls.append(("centre-key", centre))
        return {"centre": centre, "id": "key_1", "key": KEY, "created_at": "2026-11-21T06:00:00Z"}

    @app.post("/v1/centres/{centre}/fence")
    def fence(centre: str) -> dict[str, Any]:
        if by_id[centre]["state"] != "lost":
            raise Conflict(f"中心 {centre} 的代理仍在应答，不能声明失效；请先停止代理")
        brain.calls.append(("fence", centre))
        return {"ended": 3}

    @app.put("/v1/centres/{centre}/inventory")
    def put_inventory(centre: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if body["region"] == "999999":
            errors = [{"field": "region", "reason": "没有这个行政区划"}, {"field": "eflops.fp16", "reason": "太大"}]
            raise InvalidInput("清单无法使用；每处问题见 errors", errors=errors)
        brain.calls.append(("inventory", (centre, body)))
        return {}


def _costs(app: FastAPI) -> None:
    @app.get("/v1/centres/{centre}/energy")
    def energy(centre: str) -> dict[str, Any]:
        return {"items": [ENERGY] if centre == "zibo" else [], "next": None}

    @app.get("/v1/centres/{centre}/tariff")
    def tariff(centre: str) -> dict[str, Any]:
        none = {"centre": centre, "tariff": None, "now": None, "hours": []}
        hours = [{**one, "kind": one["kind"]} for one in HOURS]
        now = {"kind": "flat", "yuan_kwh": "0.600000"}
        return none | ({"tariff": TARIFF, "now": now, "hours": hours} if centre == "zibo" else {})

    @app.get("/v1/centres/{centre}/carbon/hours")
    def carbon(centre: str, days: int) -> dict[str, Any]:
        hours = [{"at": f"2026-11-{1 + n // 24:02d}T{n % 24:02d}:00:00Z", "g_kwh": 500.0 + n} for n in range(24 * days)]
        known = centre == "zibo"
        return {"centre": centre, "series": SERIES if known else None, "items": hours if known else [],
                "as_of": "2026-11-21T06:00:00Z"}  # fmt: skip
