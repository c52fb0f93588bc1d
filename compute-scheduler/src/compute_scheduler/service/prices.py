"""Price lists and energy factors: versions that are added and never changed, each valid from a moment on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import sqlalchemy as sa
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.domain.ledger import micro_of, yuan
from compute_scheduler.service.errors import (
    EnergyInvalid,
    PriceListInvalid,
    PriceListUnknown,
    VersionTaken,
)
from compute_scheduler.service.known import known_centre
from compute_scheduler.store import ledger as store

Row = dict[str, Any]
# Before anything was posted a list may reach back this far, and no further than the platform's own time.
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


def add_price_list(database: Database, principal: Principal, body: Mapping[str, Any]) -> Row:
    """Adds a version; amounts are decimals in words. Raises PriceListInvalid, CentreUnknown, VersionTaken.

    body: centre ('' for all), valid_from (None: now), core_hour, gib_hour, gb_moved, accelerator_hour by kind, note.
    """
    prices = amounts_of(body)
    now = utc_now()
    row = {
        "id": new_id("prl"),
        "centre": body["centre"],
        "valid_from": _from(body["valid_from"], now),
        "prices": prices,
        "note": body["note"],
        "created_by": principal.subject,
        "created_at": now,
    }
    try:
        with database.transaction() as session:
            store.lock(session)
            _check_from(session, row)
            store.insert_price_list(session, row)
            detail = {"centre": row["centre"], "valid_from": rfc3339(row["valid_from"]), "prices": prices}
            audit.record(session, principal, action="price_list.add", object=row["id"], detail=detail)
    except sa.exc.IntegrityError as error:
        raise VersionTaken("同一中心在同一时刻已有价目，请换一个生效时间") from error
    return price_list_shown(row)


def list_price_lists(database: Database, centre: str | None) -> list[Row]:
    """Every version, the newest first; of a centre those for all centres too."""
    with database.reading() as session:
        rows = store.price_list_rows(session)
    return [price_list_shown(row) for row in rows if centre is None or row["centre"] in ("", centre)]


def get_price_list(database: Database, list_id: str) -> Row:
    """One version. Raises PriceListUnknown."""
    with database.reading() as session:
        found = [row for row in store.price_list_rows(session) if row["id"] == list_id]
    if not found:
        raise PriceListUnknown(f"没有价目 {list_id[:40]}")
    return price_list_shown(found[0])


def price_list_shown(row: Row) -> Row:
    """A version as the API gives it."""
    prices = row["prices"]
    kinds = {kind: yuan(price) for kind, price in prices["accelerator_hour"].items()}
    return {
        "id": row["id"],
        "centre": row["centre"],
        "valid_from": rfc3339(row["valid_from"]),
        "currency": "CNY",
        **{name: yuan(prices[name]) for name in ("core_hour", "gib_hour", "gb_moved")},
        "accelerator_hour": kinds,
        "note": row["note"],
        "created_by": row["created_by"],
        "created_at": rfc3339(row["created_at"]),
    }


def add_energy_factors(database: Database, principal: Principal, centre: str, body: Mapping[str, Any]) -> Row:
    """Adds a version of a centre's energy factors. Raises CentreUnknown, EnergyInvalid, VersionTaken.

    body: core_w, accelerator_w by kind, pue, carbon_g_kwh or None, source, as_of, valid_from (None: now).
    """
    now = utc_now()
    row = {
        "id": new_id("nrg"),
        "centre": centre,
        "valid_from": _from(body["valid_from"], now),
        "core_mw": _thousandths(body["core_w"]),
        "accelerator_mw": {kind: _thousandths(watts) for kind, watts in body["accelerator_w"].items()},
        "pue_milli": _thousandths(body["pue"]),
        "carbon_mg_kwh": None if body["carbon_g_kwh"] is None else _thousandths(body["carbon_g_kwh"]),
        "source": body["source"],
        "as_of": body["as_of"],
        "created_by": principal.subject,
        "created_at": now,
    }
    if body["as_of"] > now.astimezone(CHINA).date():
        raise EnergyInvalid("来源日期不能晚于今天", errors=[{"field": "as_of", "reason": "不能晚于今天"}])
    try:
        with database.transaction() as session:
            store.lock(session)
            _check_from(session, row)
            store.insert_energy_factors(session, row)
            audit.record(session, principal, action="energy.add", object=centre, detail={"id": row["id"]})
    except sa.exc.IntegrityError as error:
        raise VersionTaken("该中心在同一时刻已有能耗系数，请换一个生效时间") from error
    return energy_shown(row)


def list_energy_factors(database: Database, centre: str) -> list[Row]:
    """Every version of a centre's factors, the newest first. Raises CentreUnknown."""
    with database.reading() as session:
        known_centre(session, centre)
        return [energy_shown(row) for row in store.energy_rows(session, centre)]


def energy_shown(row: Row) -> Row:
    """A version as the API gives it."""
    carbon = row["carbon_mg_kwh"]
    return {
        "id": row["id"],
        "centre": row["centre"],
        "valid_from": rfc3339(row["valid_from"]),
        "core_w": row["core_mw"] / 1000,
        "accelerator_w": {kind: milliwatts / 1000 for kind, milliwatts in row["accelerator_mw"].items()},
        "pue": row["pue_milli"] / 1000,
        "carbon_g_kwh": None if carbon is None else carbon / 1000,
        "source": row["source"],
        "as_of": row["as_of"].isoformat(),
        "created_by": row["created_by"],
        "created_at": rfc3339(row["created_at"]),
    }


def amounts_of(body: Mapping[str, Any]) -> Row:
    """The prices of a list in millionths of a yuan. Raises PriceListInvalid naming each that is no decimal."""
    errors: list[Row] = []

    def amount(field: str, text: str) -> int:
        try:
            return micro_of(text)
        except ValueError as error:
            errors.append({"field": field, "value": text[:40], "reason": str(error)})
            return 0

    found: Row = {name: amount(name, body[name]) for name in ("core_hour", "gib_hour", "gb_moved")}
    kinds = body["accelerator_hour"]
    found["accelerator_hour"] = {kind: amount(f"accelerator_hour.{kind}", kinds[kind]) for kind in sorted(kinds)}
    if errors:
        raise PriceListInvalid("价格无法使用；每处问题见 errors", errors=errors)
    return found


def _from(given: datetime | None, now: datetime) -> datetime:
    moment = (given or now).astimezone(UTC)
    if moment < EARLIEST:
        raise PriceListInvalid(
            "生效时间太早", errors=[{"field": "valid_from", "reason": f"不能早于 {rfc3339(EARLIEST)}"}]
        )
    return moment


def _check_from(session: Session, row: Row) -> None:
    """What is in the ledger keeps its price: a version begins after it. Raises CentreUnknown, VersionTaken."""
    if row["centre"]:
        known_centre(session, row["centre"])
    posted = store.newest_end(session, row["centre"])
    if posted is not None and row["valid_from"] < posted:
        raise VersionTaken(
            f"{rfc3339(posted)} 之前的用量已经入账，新版本只能从那以后生效；要改已入账的价格，请更正该记录",
            earliest=rfc3339(posted),
        )


def _thousandths(amount: Decimal) -> int:
    return int((amount * 1000).to_integral_value(ROUND_HALF_EVEN))
