"""Plans, usage, events: what operators steer and everybody may ask of their own use."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any

from brain_kit.auth import Caller, Principal, require
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.openapi import gives
from brain_kit.service import Platform
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service_portal.domain.plans import Plan
from service_portal.service import control
from service_portal.service.document import Document, operations_of

Operator = Annotated[Principal, Depends(require("operator"))]
PlanName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
MOST = 10**18
Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class PlanBody(BaseModel):
    """Limits of a plan; null means no limit."""

    model_config = ConfigDict(extra="forbid")
    rate_per_s: float | None = Field(gt=0, le=1e6, allow_inf_nan=False)
    burst: int = Field(ge=1, le=10**6)
    monthly_requests: int | None = Field(ge=1, le=MOST)
    monthly_bytes: int | None = Field(ge=1, le=MOST)


class AssignmentBody(BaseModel):
    """Which plan an organisation gets."""

    model_config = ConfigDict(extra="forbid")
    plan: str


def control_routes(platform: Platform, database: Database, document: Document) -> APIRouter:
    """Routes of the control plane."""
    router = APIRouter(prefix="/v1", tags=["gateway"])

    @router.get("/plans", summary="方案")
    def list_plans(caller: Caller) -> dict[str, Any]:
        """Plans with their rates and quotas."""
        return control.list_plans(database)

    @router.put("/plans/{name}", summary="设置方案")
    def put_plan(name: PlanName, body: PlanBody, caller: Operator) -> dict[str, Any]:
        """Sets a plan; gateways follow within seconds."""
        return control.put_plan(database, caller, Plan(name, **body.model_dump()))

    @router.put("/plan-assignments/{org}", summary="给机构指定方案")
    def assign_plan(org: Annotated[str, Path(max_length=18)], body: AssignmentBody, caller: Operator) -> dict[str, Any]:
        """Gives an organisation a plan of its own."""
        return control.assign_plan(database, caller, org, body.plan)

    @router.get("/usage", summary="用量", responses=gives("application/json", "text/csv"))
    def read_usage(
        request: Request,
        caller: Caller,
        org: str | None = None,
        since: Day = None,
        until: Day = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> Any:
        """Requests, bytes and time by day and consumer; CSV by `Accept: text/csv`."""
        today = utc_now().strftime("%Y-%m-%d")
        first = since or f"{today[:8]}01"
        found = control.list_usage(database, caller, org=org, since=first, until=until or today, limit=limit)
        if "text/csv" in request.headers.get("accept", ""):
            return Response(_csv(found["items"]), media_type="text/csv; charset=utf-8")
        return found

    @router.get("/routes", summary="接口目录")
    def list_routes(caller: Caller) -> dict[str, Any]:
        """Every route of the open gateway with its summary."""
        items = [
            {
                "operation": item["operationId"],
                "method": method,
                "path": path,
                "summary": item.get("summary", ""),
                "tags": item["tags"],
            }
            for method, path, item in operations_of(document.read())
        ]
        return {"items": items, "next": None}

    return router


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    names = ("day", "org", "consumer", "service", "status_class", "requests", "bytes_in", "bytes_out", "milliseconds")
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
