"""Carbon intensity of centres by the hour: uploaded with its source, kept, and given to the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.domain.hourly import BadSeries, Hourly, read_hourly
from compute_scheduler.service.errors import EnergyInvalid
from compute_scheduler.service.known import known_centre
from compute_scheduler.store import carbon as store

Row = dict[str, Any]
MOST_KEPT = 1000
# Series never change, so what was read once by id stays right.
_read: dict[str, Hourly] = {}


def add_series(database: Database, principal: Principal, centre: str, body: Mapping[str, Any]) -> Row:
    """Adds a series of a centre; the plan weighs by it from then on. Raises CentreUnknown, EnergyInvalid.

    body: csv (hour, one column a zone, gCO2/kWh), zone (None: the only column), source, as_of.
    """
    now = utc_now()
    zone, series = _chosen(body["csv"], body["zone"])
    if body["as_of"] > now.astimezone(CHINA).date():
        raise EnergyInvalid("来源日期不能晚于今天", errors=[{"field": "as_of", "reason": "不能晚于今天"}])
    row = {
        "id": new_id("cbn"),
        "centre": centre,
        "zone": zone[:100],
        "start_at": datetime.fromtimestamp(series.start_at, UTC),
        "values": list(series.values),
        "source": body["source"],
        "as_of": body["as_of"],
        "created_by": principal.subject,
        "created_at": now,
    }
    with database.transaction() as session:
        known_centre(session, centre)
        store.insert(session, row)
        detail = {"id": row["id"], "zone": row["zone"], "hours": len(series.values)}
        audit.record(session, principal, action="carbon.add", object=centre, detail=detail)
    return shown(row, now)


def list_series(database: Database, centre: str) -> list[Row]:
    """The series of a centre, the one in force first. Raises CentreUnknown."""
    with database.reading() as session:
        known_centre(session, centre)
        rows = store.of_centre(session, centre)
    return [shown(row, utc_now()) for row in rows]


def read_hours(database: Database, centre: str, days: int) -> Row:
    """Intensity hour by hour by the series in force, from days - 1 days ago to the end of today in China.

    {series (None without one), items [{at, g_kwh}]}. Raises CentreUnknown.
    """
    now = utc_now()
    known = list_series(database, centre)
    items: list[Row] = []
    if known:
        with database.reading() as session:
            series = in_force(session)[centre]
        midnight = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight - timedelta(days=days - 1)
        hours = [first + timedelta(hours=hour) for hour in range(24 * days)]
        items = [{"at": rfc3339(at), "g_kwh": series.at(at.timestamp())} for at in hours]
    return {"centre": centre, "series": known[0] if known else None, "items": items, "as_of": rfc3339(now)}


def in_force(session: Session) -> dict[str, Hourly]:
    """The newest series of each centre that has one."""
    newest = store.newest(session)
    _load(session, newest.values())
    return {centre: _read[series_id] for centre, series_id in newest.items()}


def versions(session: Session) -> dict[str, list[tuple[datetime, Hourly]]]:
    """Every series by centre, each with the moment at which it was added, the oldest first."""
    heads = store.heads(session)
    _load(session, [head["id"] for head in heads])
    found: dict[str, list[tuple[datetime, Hourly]]] = {}
    for head in heads:
        found.setdefault(head["centre"], []).append((head["created_at"], _read[head["id"]]))
    return found


def _load(session: Session, series_ids: Iterable[str]) -> None:
    if len(_read) > MOST_KEPT:
        _read.clear()
    for row in store.by_id(session, set(series_ids) - _read.keys()):
        _read[row["id"]] = _hourly(row)


def shown(row: Row, now: datetime) -> Row:
    """A series as the API gives it; g_kwh_now: the value of this hour, the series repeated."""
    series = _hourly(row)
    hours = len(series.values)
    return {
        "id": row["id"],
        "centre": row["centre"],
        "zone": row["zone"],
        "from": rfc3339(row["start_at"]),
        "until": rfc3339(row["start_at"] + timedelta(hours=hours)),
        "hours": hours,
        "least_g_kwh": min(series.values),
        "mean_g_kwh": round(sum(series.values) / hours, 3),
        "most_g_kwh": max(series.values),
        "now_g_kwh": series.at(now.timestamp()),
        "source": row["source"],
        "as_of": row["as_of"].isoformat(),
        "created_by": row["created_by"],
        "created_at": rfc3339(row["created_at"]),
    }


def _hourly(row: Row) -> Hourly:
    return Hourly(row["start_at"].timestamp(), tuple(row["values"]))


def _chosen(text: str, zone: str | None) -> tuple[str, Hourly]:
    try:
        found = read_hourly(text.splitlines())
    except BadSeries as error:
        raise EnergyInvalid("碳强度序列无法使用", errors=[{"field": "csv", "reason": str(error)}]) from None
    if zone is None and len(found) > 1:
        reason = f"有多列，请指明其中一列：{'、'.join(found)}"[:400]
        raise EnergyInvalid("请指明电网", errors=[{"field": "zone", "reason": reason}])
    name = zone if zone is not None else next(iter(found))
    if name not in found:
        reason = f"没有这一列；有：{'、'.join(found)}"[:400]
        raise EnergyInvalid("序列中没有这个电网", errors=[{"field": "zone", "value": name[:100], "reason": reason}])
    return name, found[name]
