"""The fake compute scheduler's data network: a link under maintenance, transfers in every state."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from brain_kit.clock import rfc3339, utc_now
from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted
from fastapi import Body, FastAPI

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, OPERATOR_ORG, FakeBrain

DATASET = "enterprise.enterprise_monthly"
MOVING, PAUSED, DONE, FAILED = (f"trf_{number:026d}" for number in (4, 3, 2, 1))
SHA = "5e" * 32
WINDOW = "win_00000000000000000000000001"


def _at(hours: float) -> str:
    return rfc3339(utc_now() + timedelta(hours=hours))


def _link(days: int) -> dict[str, Any]:
    """100 Gbit/s; cut from tomorrow for six hours; 40 of them reserved for the next hour."""
    stretches = [(0, 1, 100.0, 40.0), (1, 24, 100.0, 0.0), (24, 30, 0.0, 0.0), (30, 24 * days, 100.0, 0.0)]
    window = {"id": WINDOW, "start_at": _at(24), "end_at": _at(30), "gbit_s": 0.0, "note": "割接"}
    return {
        "one": "jinan", "other": "zibo", "capacity_gbit_s": 100.0, "latency_ms": 2.5, "note": "省级骨干",
        "as_of": "2026-09-30", "updated_at": "2026-11-01T00:00:00Z", "limit_gbit_s": 100.0, "reserved_gbit_s": 40.0,
        "free_gbit_s": 60.0, "windows": [window],
        "course": [
            {"from": _at(start), "until": _at(end), "limit_gbit_s": limit, "reserved_gbit_s": held}
            for start, end, limit, held in stretches if start < 24 * days
        ],
    }  # fmt: skip


def _transfer(identity: str, state: str, **given: Any) -> dict[str, Any]:
    return {
        "id": identity, "dataset": DATASET, "version": "4727239155663274136", "view": "whole", "centre": "zibo",
        "source": "local", "path": [["jinan", "local"], ["jinan", "zibo"]], "state": state, "code": "", "reason": "",
        "bytes": 200_000_000, "done_bytes": 74_000_000, "sent_bytes": 75_000_000, "percent": 37.0, "rate_gbit_s": 40.0,
        "reserved": [{"from": _at(-0.1), "until": _at(1), "gbit_s": 40.0}], "sha256": SHA, "org": OPERATOR_ORG,
        "jobs": ["job_queued"], "created_at": _at(-0.2), "started_at": _at(-0.1), "finish_at": _at(1), "ended_at": None,
        "updated_at": _at(0),
    } | given  # fmt: skip


def _transfers() -> list[dict[str, Any]]:
    late = [{"from": _at(30), "until": _at(31), "gbit_s": 100.0}]
    gone = {"rate_gbit_s": None, "reserved": [], "ended_at": _at(-1), "jobs": []}
    return [
        _transfer(MOVING, "moving"),
        _transfer(PAUSED, "booked", rate_gbit_s=0.0, reserved=late, finish_at=_at(31), done_bytes=0, percent=0.0,
                  org=ENTERPRISE_ORG, view=ENTERPRISE_ORG, jobs=[]),
        _transfer(DONE, "done", percent=100.0, done_bytes=200_000_000, **gone),
        _transfer(FAILED, "failed", reason="文件 a.parquet 两次与 SHA-256 不符", bytes=None, percent=None, sha256=None,
                  **gone),
    ]  # fmt: skip


def _replica(centre: str, state: str, **given: Any) -> dict[str, Any]:
    return {
        "dataset": DATASET, "version": "4727239155663274136", "centre": centre, "view": "whole", "bytes": 200_000_000,
        "sha256": SHA, "state": state, "note": "", "used_at": None, "updated_at": _at(-30),
    } | given  # fmt: skip


RULE = {
    "dataset": DATASET, "stays_in": ["370300", "jinan"], "reason": "协议第 3 条", "org": ENTERPRISE_ORG,
    "centres": ["local", "zibo"], "updated_at": "2026-11-01T00:00:00Z",
}  # fmt: skip


def _quote(centre: str, **given: Any) -> dict[str, Any]:
    return {
        "centre": centre, "title": f"中心 {centre}", "holds": False, "allowed": True, "bytes": 200_000_000,
        "seconds": 16.5, "yuan": 0.1, "source": "local", "path": [["jinan", "local"], ["jinan", centre]],
    } | given  # fmt: skip


def _data(app: FastAPI, brain: FakeBrain) -> None:
    @app.get("/v1/replicas")
    def replicas(dataset: str = "", centre: str = "") -> dict[str, Any]:
        known = [
            _replica("zibo", "ready", used_at=_at(-2)), _replica("jinan", "suspect", note="搬机房"),
            _replica("yantai", "bad"),
        ]  # fmt: skip
        return {"items": [r for r in known if centre in ("", r["centre"]) and dataset in ("", DATASET)], "next": None}

    @app.delete("/v1/replicas/{dataset}/{version}/{centre}", status_code=204)
    def delete_replica(dataset: str, version: str, centre: str, view: str = "whole") -> None:
        brain.calls.append(("remove-replica", (dataset, version, centre, view)))

    @app.get("/v1/data-rules")
    def rules() -> dict[str, Any]:
        return {
            "items": [RULE, RULE | {"dataset": "industry.orders", "stays_in": ["650000"], "centres": []}],
            "next": None,
        }

    @app.put("/v1/data-rules/{dataset}")
    def put_rule(dataset: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        wrong = [entry for entry in body["stays_in"] if entry == "c9"]
        if wrong:
            place = body["stays_in"].index("c9")
            errors = [{"field": f"stays_in.{place}", "value": "c9", "reason": "没有这个算力中心"}]
            raise InvalidInput("数据规则无法使用；每处问题见 errors", errors=errors)
        if dataset == "public.secret":
            raise NotPermitted("数据集 public.secret 的级别是 重要，其数据规则只由运营方设置")
        brain.calls.append(("rule", (dataset, body)))
        return RULE

    @app.delete("/v1/data-rules/{dataset}", status_code=204)
    def delete_rule(dataset: str) -> None:
        brain.calls.append(("remove-rule", dataset))

    @app.get("/v1/data-quotes/{dataset}")
    def quotes(dataset: str, version: str = "") -> dict[str, Any]:
        if dataset != DATASET:
            raise InvalidInput(f"没有数据集 {dataset}，或者没有权限读取")
        items = [
            _quote("yantai", allowed=False), _quote("zibo"),
            _quote("edge", seconds=None, yuan=None, source=None, path=[]),
            _quote("local", holds=True, bytes=0, seconds=0.0, yuan=0.0, path=[]),
        ]  # fmt: skip
        return {"dataset": dataset, "version": version or "8001", "classification": "一般", "stays_in": ["370300"],
                "rule": "own", "as_of": _at(0), "items": items}  # fmt: skip


def add_data_network(app: FastAPI, brain: FakeBrain) -> None:
    """Links, transfers, copies, rules and quotes."""
    _links(app, brain)
    _data(app, brain)
    known = {item["id"]: item for item in _transfers()}

    @app.get("/v1/transfers")
    def transfers(state: str = "", centre: str = "", limit: int = 50) -> dict[str, Any]:
        wanted = {"alive": ("booked", "moving"), "": tuple(item["state"] for item in known.values())}
        found = [item for item in known.values() if item["state"] in wanted.get(state, (state,))]
        return {"items": [item for item in found if centre in ("", item["centre"])][:limit], "next": None}

    @app.get("/v1/transfers/{transfer}")
    def transfer(transfer: str) -> dict[str, Any]:
        if transfer not in known:
            raise NotFound(f"没有传输 {transfer}")
        return known[transfer]

    @app.post("/v1/transfers/{transfer}/cancel")
    def cancel(transfer: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if not body["reason"]:
            raise InvalidInput("请求不合要求", errors=[{"field": "reason", "in": "body", "reason": "不能为空"}])
        if known[transfer]["state"] not in ("booked", "moving"):
            raise Conflict("传输已经结束（done），不能取消")
        brain.calls.append(("cancel-transfer", (transfer, body["reason"])))
        return known[transfer]


def _links(app: FastAPI, brain: FakeBrain) -> None:
    def check(one: str, other: str) -> None:
        if {one, other} != {"jinan", "zibo"}:
            raise NotFound("没有这条链路")

    @app.get("/v1/links")
    def links(days: int = 0) -> dict[str, Any]:
        return {"items": [_link(days)], "next": None}

    @app.get("/v1/links/{one}/{other}")
    def link(one: str, other: str, days: int = 7) -> dict[str, Any]:
        check(one, other)
        carried = [{"day": f"2026-11-{day + 1:02d}", "bytes": day * 10**9, "transfers": day} for day in range(days)]
        return _link(days) | {"carried": carried}

    @app.put("/v1/links/{one}/{other}")
    def put_link(one: str, other: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if one == other:
            raise InvalidInput(
                "链路的两端应是两个中心", errors=[{"field": "other", "value": other, "reason": "与另一端相同"}]
            )
        if not isinstance(body["capacity_gbit_s"], int | float):
            errors = [
                {"field": "capacity_gbit_s", "in": "body", "reason": "应为数值", "value": body["capacity_gbit_s"]}
            ]
            raise InvalidInput("请求不合要求", errors=errors)
        brain.calls.append(("link", (one, other, body)))
        return _link(0) | {"one": min(one, other), "other": max(one, other)}

    @app.delete("/v1/links/{one}/{other}", status_code=204)
    def delete_link(one: str, other: str) -> None:
        check(one, other)
        brain.calls.append(("remove-link", (one, other)))

    _windows(app, brain)


def _windows(app: FastAPI, brain: FakeBrain) -> None:
    @app.post("/v1/links/{one}/{other}/windows", status_code=201)
    def add_window(one: str, other: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if body["gbit_s"] == 100:
            errors = [{"field": "gbit_s", "value": 100, "reason": "应小于链路带宽 100 Gbit/s；0 表示中断"}]
            raise InvalidInput("维护时段无法使用；每处问题见 errors", errors=errors)
        brain.calls.append(("window", (one, other, body)))
        return {"id": WINDOW}

    @app.delete("/v1/links/{one}/{other}/windows/{window}", status_code=204)
    def delete_window(one: str, other: str, window: str) -> None:
        brain.calls.append(("remove-window", (one, other, window)))
