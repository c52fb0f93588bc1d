"""HTTP routes of price lists, energy factors, the ledger and settlement."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.auth import Caller
from brain_kit.database import Database
from brain_kit.openapi import gives
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, Field

from compute_scheduler.api.centres import CentreId, Operator, Org, Strict
from compute_scheduler.service import ledger, prices, settlement
from compute_scheduler.service.tenancy import Actor

Period = Annotated[str, Path(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="账期，年-月 month of settlement")]
PeriodAsked = Annotated[str, Query(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="账期，年-月 month of settlement")]
OrgAsked = Annotated[str, Query(max_length=18, description="统一社会信用代码 of one organisation")]
EntryId = Annotated[int, Path(ge=1, le=2**62, description="账本记录编号 number of the entry")]
# Money comes as decimals in words: a JSON number would have been rounded on its way.
Money = Annotated[str, Field(max_length=20, examples=["0.125"])]
Kind = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,39})$")]
Watts = Annotated[Decimal, Field(ge=0, le=100_000)]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class NewPriceList(BaseModel):
    """A version of prices in CNY; what is left out is free."""

    model_config = Strict
    centre: str = Field("", pattern=r"^([a-z][a-z0-9-]{0,39})?$", description="空为通用价目 empty: for all centres")
    valid_from: AwareDatetime | None = Field(None, description="空缺为现在 default: now")
    core_hour: Money = Field("0", description="每核小时 yuan a core hour")
    gib_hour: Money = Field("0", description="每 GiB 内存小时 yuan a GiB hour of memory")
    gb_moved: Money = Field("0", description="每 GB 传输 yuan a GB moved")
    accelerator_hour: dict[Kind, Money] = Field(
        {}, max_length=50, description="每卡小时，按型号，* 为其他型号 yuan an accelerator hour by kind, * any other"
    )
    note: str = Field("", max_length=500)


class NewEnergyFactors(BaseModel):
    """A version of what a centre's work needs of power, and what that emits."""

    model_config = Strict
    valid_from: AwareDatetime | None = None
    core_w: Watts = Field(description="每核瓦数 watts of a core")
    accelerator_w: dict[Kind, Watts] = Field({}, max_length=50, description="每卡瓦数，按型号，* 为其他型号")
    pue: Decimal = Field(ge=1, le=5, description="电能使用效率 power usage effectiveness")
    carbon_g_kwh: Decimal | None = Field(None, ge=0, le=3000, description="碳强度，克每千瓦时")
    source: str = Field(min_length=1, max_length=300, description="出处 where the figures come from")
    as_of: date = Field(description="出处的日期 date of the source")


class Correction(BaseModel):
    """Why an entry is taken back, and at which prices it is posted anew."""

    model_config = Strict
    kind: Literal["cancel", "reprice"]
    price_list: str | None = Field(None, max_length=40)
    reason: str = Field(min_length=1, max_length=500)


def price_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["settlement"])

    @router.get("/price-lists", summary="价目列表")
    def list_price_lists(caller: Caller, centre: Annotated[str | None, Query(max_length=40)] = None) -> dict[str, Any]:
        """Every version of prices, the newest first."""
        return {"items": prices.list_price_lists(database, centre), "next": None}

    @router.post("/price-lists", status_code=201, summary="发布价目")
    def add_price_list(body: NewPriceList, caller: Operator) -> dict[str, Any]:
        """Adds a version, valid from a moment after all usage that is in the ledger."""
        return prices.add_price_list(database, caller, body.model_dump())

    @router.get("/price-lists/{price_list}", summary="价目")
    def get_price_list(price_list: Annotated[str, Path(max_length=40)], caller: Caller) -> dict[str, Any]:
        """One version of prices."""
        return prices.get_price_list(database, price_list)

    @router.get("/centres/{centre}/energy", summary="能耗系数")
    def list_energy_factors(centre: CentreId, caller: Caller) -> dict[str, Any]:
        """Every version of a centre's power and carbon factors, the newest first."""
        return {"items": prices.list_energy_factors(database, centre), "next": None}

    @router.post("/centres/{centre}/energy", status_code=201, summary="发布能耗系数")
    def add_energy_factors(centre: CentreId, body: NewEnergyFactors, caller: Operator) -> dict[str, Any]:
        """Adds a version; energy and carbon of later usage are computed by it."""
        return prices.add_energy_factors(database, caller, centre, body.model_dump())

    return router


def ledger_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["settlement"])

    @router.get("/ledger", summary="账本")
    def list_ledger(
        caller: ActingCaller,
        period: Annotated[str | None, Query(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$")] = None,
        org: OrgAsked = "",
        owner: OrgAsked = "",
        centre: Annotated[str, Query(max_length=40)] = "",
        job: Annotated[str, Query(max_length=40)] = "",
        after: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Entries that the caller pays or is paid for, with quantities, prices, energy and carbon."""
        filters = {"period": period, "org": org, "owner": owner, "centre": centre, "job": job}
        return ledger.list_entries(database, Actor(caller), filters, after=after, limit=limit)

    @router.get("/ledger/{entry}", summary="账本记录")
    def get_ledger_entry(entry: EntryId, caller: ActingCaller) -> dict[str, Any]:
        """One entry with its items."""
        return ledger.get_entry(database, Actor(caller), entry)

    @router.post("/ledger/{entry}/corrections", status_code=201, summary="更正账本记录")
    def correct_ledger_entry(entry: EntryId, body: Correction, caller: Operator) -> dict[str, Any]:
        """Takes an entry back by one with the opposite sign; `reprice` posts it anew under another price list."""
        added = ledger.correct(database, caller, entry, kind=body.kind, price_list=body.price_list, reason=body.reason)
        return {"items": added, "next": None}

    return router


def settlement_routes(database: Database) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/settlement", tags=["settlement"])

    @router.get("/periods", summary="账期列表")
    def list_periods(caller: ActingCaller) -> dict[str, Any]:
        """Months with usage, the newest first, and whether they are closed."""
        return {"items": settlement.list_periods(database, Actor(caller)), "next": None}

    @router.post("/periods/{period}/close", summary="关账")
    def close_period(period: Period, caller: Operator) -> dict[str, Any]:
        """Closes a month that is over: later corrections go to the next one."""
        return settlement.close_period(database, caller, period)

    @router.get("/statements", summary="结算单列表")
    def list_statements(
        caller: ActingCaller, period: PeriodAsked, org: OrgAsked = "", owner: OrgAsked = ""
    ) -> JSONResponse:
        """What each tenant owes each owner of centres in a month."""
        return JSONResponse(settlement.list_statements(database, Actor(caller), period, org=org, owner=owner))

    @router.get("/statements/{period}/{org}/{owner}", summary="结算单")
    def get_statement(period: Period, org: Org, owner: Org, caller: ActingCaller) -> JSONResponse:
        """The statement between a tenant and an owner, line by line."""
        return JSONResponse(settlement.get_statement(database, Actor(caller), period, org, owner))

    @router.get("/export", summary="导出结算单", response_class=Response, responses=gives("text/csv", XLSX))
    def export_statements(
        caller: ActingCaller,
        period: PeriodAsked,
        form: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "csv",
        org: OrgAsked = "",
        owner: OrgAsked = "",
    ) -> Response:
        """The lines of a month's statements as a file."""
        headers = {"Content-Disposition": f'attachment; filename="settlement-{period}.{form}"'}
        if form == "xlsx":
            content = settlement.export_xlsx(database, Actor(caller), period, org=org, owner=owner)
            return Response(content, media_type=XLSX, headers=headers)
        rows = settlement.export_csv(database, Actor(caller), period, org=org, owner=owner)
        return ClosingStream(rows, media_type="text/csv; charset=utf-8", headers=headers)  # type: ignore[arg-type]

    return router
