"""Reservations of the fake compute service: one for the enterprise, one maintenance window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from brain_kit.clock import rfc3339
from brain_kit.problems import Conflict, NotFound
from fastapi import Body, FastAPI, Header

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, FakeBrain

RESERVED, MAINTAINED = "rsv_" + "A" * 26, "rsv_" + "B" * 26


def _at(hours: float) -> str:
    return rfc3339(datetime.now(UTC) + timedelta(hours=hours))


def _items() -> list[dict[str, Any]]:
    kept = {"cores": 2.0, "memory_mb": 4000, "accelerators": {"A100": 1}}
    common = {"centre": "local", "reason": "", "created_by": None, "began_at": None, "ended_at": None}
    reserved = {
        "id": RESERVED, "kind": "reservation", "title": "汛期预报", "purpose": "洪水预报", "state": "planned",
        "orgs": [ENTERPRISE_ORG], "priority": None, "running": "leave", "cores": 2.0,
        "asked": {"resources": kept, "count": 1}, "nodes": [{"node": "local/node-1", "kept": kept}],
        "start_at": _at(24), "end_at": _at(48), "created_at": _at(-1),
    }  # fmt: skip
    window = {
        "id": MAINTAINED, "kind": "maintenance", "title": "更换电源", "purpose": "", "state": "open", "orgs": [],
        "priority": None, "running": "requeue", "cores": None, "asked": None, "nodes": [], "start_at": _at(-1),
        "end_at": _at(5), "created_at": _at(-2),
    }  # fmt: skip
    return [common | window, common | reserved]


def add_reservations(app: FastAPI, brain: FakeBrain) -> None:
    """List, one, preview, making and cancelling."""

    @app.get("/v1/reservations")
    def listed(kind: str = "", state: str = "") -> dict[str, Any]:
        found = [item for item in _items() if kind in ("", item["kind"]) and state in ("", "live", item["state"])]
        return {"items": found, "next": None}

    @app.get("/v1/reservations/{reservation}")
    def one(reservation: str) -> dict[str, Any]:
        found = next((item for item in _items() if item["id"] == reservation), None)
        if found is None:
            raise NotFound("没有预留或维护窗口")
        use = {"kept_core_h": 8.0, "used_core_h": 4.5, "unused_core_h": 3.5, "until": _at(0)}
        return found | {"use": use if reservation == RESERVED else None}

    @app.post("/v1/reservations/preview")
    def preview(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("preview", body))
        running = {"job": "job_1", "name": "夜间训练", "org": ENTERPRISE_ORG, "nodes": [], "ends_by_at": _at(30)}
        waiting = {
            "job": "job_2",
            "name": "月报",
            "org": ENTERPRISE_ORG,
            "start_at": _at(0),
            "then_at": None,
            "reason": "",
        }
        nodes = [{"node": "local/node-1", "kept": None}]
        return {"nodes": nodes, "cores": 2.0, "running": [running], "waiting": [waiting], "as_of": _at(0)}

    @app.post("/v1/reservations", status_code=201)
    def make(
        body: Annotated[dict[str, Any], Body()], idempotency_key: Annotated[str | None, Header()] = None
    ) -> dict[str, Any]:
        brain.calls.append(("reserve", (body, idempotency_key)))
        if body["title"] == "挤不下":
            raise Conflict("这段时间还差 1 份：预留 rsv_…")
        return _items()[1]

    @app.post("/v1/reservations/{reservation}/cancel")
    def cancel(reservation: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append(("cancel", (reservation, body["reason"])))
        return _items()[1]
