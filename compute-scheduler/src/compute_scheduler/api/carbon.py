"""HTTP routes of carbon intensity by the hour."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from brain_kit.auth import Caller
from brain_kit.database import Database
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from compute_scheduler.api.centres import CentreId, Operator, Strict
from compute_scheduler.service import carbon


class NewSeries(BaseModel):
    """Carbon intensity of a centre's electricity by the hour."""

    model_config = Strict
    csv: str = Field(
        min_length=1,
        max_length=4_000_000,
        description="第一列为整点（UTC），其后每列一个电网，gCO2/kWh；用完后循环 hour, then a column a zone; repeats",
        examples=["hour_utc,CN-SD\n2025-01-01T00:00Z,640.5\n2025-01-01T01:00Z,655.2\n"],
    )
    zone: str | None = Field(None, max_length=100, description="列名；只有一列时可空 the column, if there are several")
    source: str = Field(min_length=1, max_length=300, description="出处 where the figures come from")
    as_of: date = Field(description="出处的日期 date of the source")


def carbon_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["centres"])

    @router.get("/centres/{centre}/carbon", summary="逐时碳强度")
    def list_carbon_series(centre: CentreId, caller: Caller) -> dict[str, Any]:
        """The series of a centre, the one that is in force first, with this hour's value."""
        return {"items": carbon.list_series(database, centre), "next": None}

    @router.post("/centres/{centre}/carbon", status_code=201, summary="上传逐时碳强度")
    def add_carbon_series(centre: CentreId, body: NewSeries, caller: Operator) -> dict[str, Any]:
        """Adds a series; the centre of later jobs is chosen by it."""
        return carbon.add_series(database, caller, centre, body.model_dump())

    @router.get("/centres/{centre}/carbon/hours", summary="碳强度走势")
    def read_carbon_hours(
        centre: CentreId, caller: Caller, days: Annotated[int, Query(ge=1, le=31, description="最近多少天")] = 7
    ) -> dict[str, Any]:
        """Intensity hour by hour, from the first of the last days (China's calendar) to the end of today."""
        return carbon.read_hours(database, centre, days)

    return router
