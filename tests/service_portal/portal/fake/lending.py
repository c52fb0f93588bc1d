"""The fake compute scheduler's loans."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.problems import NotFound
from fastapi import Body, FastAPI, Response

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, OPERATOR_ORG, FakeBrain

LOAN, CENTRE = "province-2026", "county"
ATTEMPT = "job_01K9XQ4Z000000000000000000.1"
TERMS = {
    "id": LOAN, "borrower": ENTERPRISE_ORG, "title": "夜间出借",
    "amounts": {"cores": 32.0, "memory_mb": 131072, "A100": 2}, "hours": [["20:00", "07:00"]],
    "from_at": None, "until_at": "2026-12-31T16:00:00Z",
    "reclaim": "stop", "notice_s": 600.0, "state": "open", "partner": "brn_01K9XQ4Z000000000000000000",
    "created_by": "usr_1", "over_since": None, "seen_at": "2026-11-21T06:00:00Z", "created_at": "2026-11-01T00:00:00Z",
    "updated_at": "2026-11-01T00:00:00Z", "available": True, "reason": "", "used": {"cores": 8.0}, "running": 2,
    "waiting": 1,
}  # fmt: skip
BORROWED = {
    "centre": CENTRE, "title": "县级平台", "owner": OPERATOR_ORG, "state": "down",
    "detail": "对方平台没有答复，等待它恢复", "brain": "brn_01K9XQ4Z000000000000000001",
    "loan": "night", "cores": 0, "memory_mb": 0, "used_cores": 4.0, "jobs": 1, "seen_at": "2026-11-21T06:00:00Z",
}  # fmt: skip
FIGURE = {
    "attempt": ATTEMPT, "job": "job_01K9XQ4Z000000000000000000", "outcome": "succeeded",
    "wall_s": 60.0, "core_s": 240.0, "memory_mb_s": 1000.0, "accelerator_s": {},
    "amount": "0.024000", "price_list": "prl_1",
    "ended_at": "2026-11-21T06:01:00Z",
}  # fmt: skip
JOB = {
    "id": "job_01K9XQ4Z00000000000000000L", "state": "cancelled", "reason": "出借方收回算力", "attempt": ATTEMPT,
    "resources": {"cores": 4.0, "memory_mb": 1000, "accelerators": {}}, "reclaimed": True, "is_live": False,
    "submitted_at": "2026-11-21T06:00:00Z", "started_at": "2026-11-21T06:00:00Z", "ended_at": "2026-11-21T06:01:00Z",
}  # fmt: skip


def _statement(loan: str, centre: str) -> dict[str, Any]:
    difference = {"field": "wall_s", "here": 60.0, "there": 61.0}
    item = {"attempt": ATTEMPT, "state": "differs", "here": FIGURE, "there": FIGURE | {"wall_s": 61.0},
            "told_at": "2026-11-21T06:02:00Z", "differences": [difference]}  # fmt: skip
    sums = {"attempts": 1, "wall_s": 60.0, "core_s": 240.0, "memory_mb_s": 1000.0, "amount": "0.024000"}
    return {
        "loan": loan or None, "centre": centre or None, "items": [item], "attempts": 1, "same": 0, "differs": 1,
        "untold": 0, "unknown_here": 0, "here": sums, "there": sums, "currency": "CNY",
    }  # fmt: skip


def add_lending(app: FastAPI, brain: FakeBrain) -> None:
    """What is lent and borrowed."""

    @app.get("/v1/lending")
    def lending() -> dict[str, Any]:
        closed = TERMS | {"id": "closed", "title": "已收回的一份", "state": "recalled", "available": False, "hours": []}
        return {"brain": "brn_01K9XQ4Z000000000000000002", "loans": [TERMS, closed], "borrowed": [BORROWED]}

    @app.get("/v1/lending/loans/{loan}")
    def loan(loan: str) -> dict[str, Any]:
        if loan != LOAN:
            raise NotFound("没有这份出借")
        return TERMS | {"jobs": [JOB]}

    @app.post("/v1/lending/loans/{loan}/recall", status_code=202)
    def recall(loan: str) -> dict[str, Any]:
        brain.calls.append(("recall", loan))
        return TERMS

    @app.patch("/v1/lending/loans/{loan}")
    def change(loan: str, fields: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        brain.calls.append((fields["state"], loan))
        return TERMS

    @app.get("/v1/lending/statement")
    def statement(loan: str = "", centre: str = "", format: str = "json") -> Any:  # noqa: A002 - the API's name
        return Response(b"attempt\n", media_type="text/csv") if format == "csv" else _statement(loan, centre)
