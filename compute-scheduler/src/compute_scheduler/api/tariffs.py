"""HTTP routes of electricity tariffs and of trying a price list on what was used."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from brain_kit.auth import Caller
from brain_kit.database import Database
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from compute_scheduler.api.centres import CentreId, Operator, Strict
from compute_scheduler.api.settlement import NewPriceList
from compute_scheduler.service import price_preview, tariffs


class NewTariff(BaseModel):
    """What electricity costs by the time of use, for a centre or for all centres of a region."""

    model_config = Strict
    centre: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{0,39}$", description="中心；与 region 二选一")
    region: str | None = Field(None, pattern=r"^\d{6}$", description="行政区划代码 GB/T 2260", examples=["370300"])
    csv: str = Field(
        min_length=1,
        max_length=100_000,
        description="每行一个时段，覆盖每个月的全天；北京时间，可跨零点 a period a line, every minute of each month",
        examples=["months,from,until,kind,yuan_kwh\n1-12,23:00,07:00,谷,0.30\n1-12,07:00,23:00,平,0.60\n"],
    )
    valid_from: AwareDatetime | None = Field(None, description="空缺为现在 default: now")
    source: str = Field(min_length=1, max_length=300, description="出处 where the figures come from")
    as_of: date = Field(description="出处的日期 date of the source")
    note: str = Field("", max_length=500)


class TriedPriceList(NewPriceList):
    """A price list that is not published, and how far back it is tried."""

    days: int = Field(30, ge=1, le=366, description="最近多少天 last days")


def tariff_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["settlement"])

    @router.get("/tariffs", summary="分时电价列表")
    def list_tariffs(caller: Caller, centre: Annotated[str | None, Query(max_length=40)] = None) -> dict[str, Any]:
        """Every version, the newest first; `centre`: its own and those of its region."""
        return {"items": tariffs.list_tariffs(database, centre), "next": None}

    @router.post("/tariffs", status_code=201, summary="发布分时电价")
    def add_tariff(body: NewTariff, caller: Operator) -> dict[str, Any]:
        """Adds a version, valid from a moment after all usage that is in the ledger."""
        return tariffs.add_tariff(database, caller, body.model_dump())

    @router.get("/centres/{centre}/tariff", summary="中心现行分时电价")
    def read_centre_tariff(centre: CentreId, caller: Caller) -> dict[str, Any]:
        """The tariff that holds for a centre now: its own, its county's, city's or province's; and its hours today."""
        return tariffs.of_centre(database, centre)

    @router.post("/price-list-trials", summary="试算价目")
    def try_price_list(body: TriedPriceList, caller: Operator) -> dict[str, Any]:
        """What the ledger's usage of the last days would have cost under other prices; nothing is published."""
        return price_preview.preview(database, body.model_dump())

    return router
