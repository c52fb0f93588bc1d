"""Electricity tariffs by the time of use: versions with source and date, of a centre or of a region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from brain_contracts.codes import CodeInvalid, check_region, region_name
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.domain.ledger import yuan
from compute_scheduler.domain.tariffs import BadTariff, Period, Tariff, read_tariff, scopes
from compute_scheduler.service.errors import TariffInvalid, VersionTaken
from compute_scheduler.service.known import known_centre
from compute_scheduler.store import ledger
from compute_scheduler.store import tariffs as store

Row = dict[str, Any]
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
MOST_KEPT = 1000
# Versions never change, so what was read once by id stays right.
_read: dict[str, Tariff] = {}


@dataclass(frozen=True)
class Tariffs:
    """The tariffs of all centres: versions by scope, the oldest first, and the regions of centres."""

    versions: Mapping[str, list[tuple[datetime, Tariff]]] = field(default_factory=dict)
    regions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, session: Session) -> Tariffs:
        """Reads them."""
        heads = store.heads(session)
        _load(session, (head["id"] for head in heads))
        found: dict[str, list[tuple[datetime, Tariff]]] = {}
        for head in heads:
            found.setdefault(head["scope"], []).append((head["valid_from"], _read[head["id"]]))
        is_regional = any(scope[0].isdigit() for scope in found)
        return cls(found, store.regions(session) if is_regional else {})

    def moments(self, centre: str) -> list[datetime]:
        """When the tariff of a centre changes."""
        near = scopes(centre, self.regions.get(centre))
        return [moment for scope in near for moment, _ in self.versions.get(scope, ())]

    def at(self, centre: str, moment: datetime) -> Tariff | None:
        """The nearest scope's newest version at a moment: the centre's own, its county's, city's, province's."""
        for scope in scopes(centre, self.regions.get(centre)):
            begun = [tariff for valid_from, tariff in self.versions.get(scope, ()) if valid_from <= moment]
            if begun:
                return begun[-1]
        return None


def add_tariff(database: Database, principal: Principal, body: Mapping[str, Any]) -> Row:
    """Adds a version. Raises TariffInvalid, CentreUnknown, VersionTaken.

    body: centre or region, csv, valid_from (None: now), source, as_of, note.
    """
    now = utc_now()
    row = {
        "id": new_id("tar"),
        "scope": _scope(body),
        "valid_from": (body["valid_from"] or now).astimezone(UTC),
        "periods": _periods(body["csv"]),
        "source": body["source"],
        "as_of": body["as_of"],
        "note": body["note"],
        "created_by": principal.subject,
        "created_at": now,
    }
    if body["as_of"] > now.astimezone(CHINA).date():
        raise _invalid("as_of", "不能晚于今天")
    if row["valid_from"] < EARLIEST:
        raise _invalid("valid_from", f"不能早于 {rfc3339(EARLIEST)}")
    try:
        with database.transaction() as session:
            ledger.lock(session)
            _check_from(session, row, body["centre"])
            store.insert(session, row)
            detail = {"id": row["id"], "valid_from": rfc3339(row["valid_from"])}
            audit.record(session, principal, action="tariff.add", object=row["scope"], detail=detail)
    except sa.exc.IntegrityError as error:
        raise VersionTaken("同一范围在同一时刻已有电价，请换一个生效时间") from error
    return shown(row)


def list_tariffs(database: Database, centre: str | None) -> list[Row]:
    """Every version, the newest first; of a centre those that may hold for it. Raises CentreUnknown."""
    with database.reading() as session:
        if centre is None:
            return [shown(row) for row in store.rows(session)]
        known_centre(session, centre)
        near = scopes(centre, store.regions(session).get(centre))
        return [shown(row) for row in store.rows(session, near)]


def of_centre(database: Database, centre: str) -> Row:
    """The tariff that a centre is under now, and its hours today. Raises CentreUnknown.

    {tariff (None without one), now {kind, yuan_kwh}, hours [{from, until, kind, yuan_kwh}]} in China's time.
    """
    now = utc_now()
    local = now.astimezone(CHINA)
    with database.reading() as session:
        known_centre(session, centre)
        near = scopes(centre, store.regions(session).get(centre))
        begun = [row for row in store.rows(session, near) if row["valid_from"] <= now]
    found = min(begun, key=lambda row: near.index(row["scope"]), default=None)
    answer: Row = {"centre": centre, "tariff": None, "now": None, "hours": [], "as_of": rfc3339(now)}
    if found is None:
        return answer
    tariff = _tariff(found["periods"])
    kind, price = tariff.at(now.timestamp())
    day = tariff.hours(local.month)
    ends = [start for start, _, _ in day[1:]] + [24 * 60]
    hours = [
        {"from": _clock(start), "until": _clock(end), "kind": name, "yuan_kwh": yuan(micro)}
        for (start, name, micro), end in zip(day, ends, strict=True)
    ]
    return answer | {"tariff": shown(found), "now": {"kind": kind, "yuan_kwh": yuan(price)}, "hours": hours}


def shown(row: Row) -> Row:
    """A version as the API gives it."""
    is_region = row["scope"][0].isdigit()
    periods = [
        {"months": months, "from": _clock(start), "until": _clock(until), "kind": kind, "yuan_kwh": yuan(price)}
        for months, start, until, kind, price in row["periods"]
    ]
    return {
        "id": row["id"],
        "centre": None if is_region else row["scope"],
        "region": row["scope"] if is_region else None,
        "region_name": region_name(row["scope"]) if is_region else None,
        "valid_from": rfc3339(row["valid_from"]),
        "periods": periods,
        "source": row["source"],
        "as_of": row["as_of"].isoformat(),
        "note": row["note"],
        "created_by": row["created_by"],
        "created_at": rfc3339(row["created_at"]),
    }


def _scope(body: Mapping[str, Any]) -> str:
    if (body["centre"] is None) == (body["region"] is None):
        raise _invalid("centre", "请给出中心或行政区划，两者之一")
    if body["region"] is None:
        return str(body["centre"])
    try:
        check_region(body["region"])
    except CodeInvalid as error:
        raise _invalid("region", str(error)) from None
    return str(body["region"])


def _periods(text: str) -> list[list[Any]]:
    try:
        tariff = read_tariff(text.lstrip("\ufeff").splitlines())
    except BadTariff as error:
        raise _invalid("csv", str(error)) from None
    return [[list(one.months), one.start, one.until, one.kind, one.price] for one in tariff.periods]


def _check_from(session: Session, row: Row, centre: str | None) -> None:
    """What is in the ledger keeps its cost of energy, so a version begins after it."""
    if centre is not None:
        known_centre(session, centre)
    posted = ledger.newest_end(session, centre or "")
    if posted is not None and row["valid_from"] < posted:
        raise VersionTaken(f"{rfc3339(posted)} 之前的用量已经入账，新电价只能从那以后生效", earliest=rfc3339(posted))


def _load(session: Session, ids: Iterable[str]) -> None:
    if len(_read) > MOST_KEPT:
        _read.clear()
    for row in store.by_id(session, set(ids) - _read.keys()):
        _read[row["id"]] = _tariff(row["periods"])


def _tariff(periods: list[list[Any]]) -> Tariff:
    return Tariff(tuple(Period(tuple(months), *rest) for months, *rest in periods))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _invalid(field_name: str, reason: str) -> TariffInvalid:
    return TariffInvalid(f"电价无法使用：{reason}", errors=[{"field": field_name, "reason": reason}])
