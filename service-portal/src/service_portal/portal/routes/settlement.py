"""Settlement: months, statements between tenants and owners, closing, files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.exports import XLSX, disposition
from service_portal.portal.parts import part
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
Period = Annotated[str, Path(pattern=r"^20\d{2}-\d{2}$")]
Org = Annotated[str, Path(pattern=r"^[0-9A-Z]{18}$")]


@router.get("/settlement")
def settlement(visit: SignedIn, period: str = "", org: str = "", owner: str = "") -> Response:
    """Who owes whom what in a month: by default the newest one with usage."""
    periods = visit.brain.settlement_periods()
    known = [item["period"] for item in periods]
    if period not in known:
        period = known[0] if known else ""
    found = visit.brain.statements(period, org=org, owner=owner) if period else None
    lists = part(visit.brain.price_lists)
    return visit.page(
        "settlement.html",
        periods=periods,
        period=period,
        month=next((item for item in periods if item["period"] == period), None),
        found=found,
        sums=_sums(found["items"]) if found else None,
        lists=lists,
        names=organisation_names(visit),
        org=org,
        owner=owner,
    )


@router.get("/settlement/file.{kind}")
def settlement_file(
    visit: SignedIn, kind: Literal["csv", "xlsx"], period: str, org: str = "", owner: str = ""
) -> Response:
    """The lines of a month's statements as the API writes them."""
    reply = visit.brain.statements_file(kind, period=period, org=org, owner=owner)
    media = XLSX if kind == "xlsx" else "text/csv; charset=utf-8"
    return Response(reply.content, media_type=media, headers=disposition(f"settlement-{period}.{kind}"))


@router.get("/settlement/{period}/{tenant}/{owner}")
def statement(visit: SignedIn, period: Period, tenant: Org, owner: Org) -> Response:
    """One statement, line by line, with the newest entries behind it."""
    found = visit.brain.statement(period, tenant, owner)
    entries = part(lambda: visit.brain.ledger(period=period, org=tenant, owner=owner, limit=100))
    return visit.page("statement.html", found=found, entries=entries, names=organisation_names(visit))


@router.post("/settlement/{period}/close")
def close(sent: Sent, period: Period) -> Response:
    """Close a month, then show it."""
    sent.visit.brain.close_period(period)
    return sent.visit.go(f"/settlement?period={period}")


def organisation_names(visit: Visit) -> dict[str, str]:
    """Names of the organisations that this person may know."""
    known = part(visit.brain.organisations).value
    return {org["uscc"]: org["name"] for org in (known or {"items": []})["items"]}


def _sums(items: list[dict[str, Any]]) -> dict[str, Any]:
    def total(name: str) -> float | None:
        known = [item[name] for item in items if item[name] is not None]
        return sum(known) if known else None

    carbon_g = total("carbon_g")
    return {
        "entries": sum(item["entries"] for item in items),
        "not_charged": sum(item["not_charged"] for item in items),
        "energy_kwh": total("energy_kwh"),
        "carbon_kg": None if carbon_g is None else carbon_g / 1000,
    }
