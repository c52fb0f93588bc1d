"""Links between centres: what they carry over the coming days, what is reserved of them, what they have carried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain.network import BYTES_MS_PER_GBIT_S, Ends, Network, Span, Stretch, ends_of
from compute_scheduler.service import data
from compute_scheduler.service.errors import InventoryInvalid, LinkUnknown
from compute_scheduler.service.known import known_centre
from compute_scheduler.service.network import window_shown
from compute_scheduler.settings import Settings
from compute_scheduler.store import inventory as store
from compute_scheduler.store import network, transfers

Row = dict[str, Any]


def set_link(database: Database, principal: Principal, one: str, other: str, body: Mapping[str, Any]) -> Row:
    """Sets the link between two centres, the same both ways. Raises CentreUnknown, InventoryInvalid."""
    now = utc_now()
    if one == other:
        raise InventoryInvalid(
            "链路的两端应是两个中心", errors=[{"field": "other", "value": other, "reason": "与另一端相同"}]
        )
    if body["as_of"] > now.astimezone(CHINA).date():
        errors = [{"field": "as_of", "value": str(body["as_of"]), "reason": "不能晚于今天"}]
        raise InventoryInvalid("链路无法使用；每处问题见 errors", errors=errors)
    first, second = sorted((one, other))
    row = {**body, "one": first, "other": second, "updated_by": principal.subject, "updated_at": now}
    with database.transaction() as session:
        for centre in (first, second):
            known_centre(session, centre)
        store.save_link(session, row)
        detail = {"capacity_gbit_s": body["capacity_gbit_s"]}
        audit.record(session, principal, action="link.set", object=f"{first}/{second}", detail=detail)
    return link_shown(row)


def list_links(database: Database, days: int = 0) -> list[Row]:
    """Every link, with what it carries now, its windows, and its course over the next days."""
    now = utc_now()
    with database.reading() as session:
        windows, booked = network.windows(session, now), _booked(session, now)
        return [_link_now(link, windows, booked, now, days) for link in store.all_links(session)]


def read_link(database: Database, settings: Settings, one: str, other: str, days: int) -> Row:
    """One link as in the list, and what it has carried on each of the last days, today included. Raises LinkUnknown.

    Days of which transfers are forgotten by now are left out.
    """
    now, ends = utc_now(), ends_of(one, other)
    with database.reading() as session:
        link = next((row for row in store.all_links(session) if (row["one"], row["other"]) == ends), None)
        if link is None:
            raise LinkUnknown(f"{one[:40]} 与 {other[:40]} 之间没有链路")
        shown = _link_now(link, network.windows(session, now), _booked(session, now), now, days)
        kept = max(1, min(days, int(settings.compute_scheduler_log_days)))
        return shown | {"carried": _carried(session, ends, now, kept)}


def remove_link(database: Database, principal: Principal, one: str, other: str) -> None:
    """Forgets a link. Raises LinkUnknown."""
    first, second = sorted((one, other))
    with database.transaction() as session:
        if not store.remove_link(session, first, second):
            raise LinkUnknown(f"{first[:40]} 与 {second[:40]} 之间没有链路")
        network.remove_windows(session, first, second)
        audit.record(session, principal, action="link.remove", object=f"{first}/{second}")


def link_shown(link: Row) -> Row:
    """A link as it was registered."""
    return {
        "one": link["one"],
        "other": link["other"],
        "capacity_gbit_s": link["capacity_gbit_s"],
        "latency_ms": link["latency_ms"],
        "note": link["note"],
        "as_of": link["as_of"].isoformat(),
        "updated_at": rfc3339(link["updated_at"]),
    }


def _booked(session: Session, now: datetime) -> Network:
    """The links with what transfers on their way have reserved."""
    taken: dict[Ends, list[Span]] = {}
    for row in transfers.alive(session):
        for ends in data.path_of(row):
            taken.setdefault(ends, []).extend(data.spans_of(row))
    return Network(data.links(session, now), taken)


def _link_now(link: Row, windows: list[Row], booked: Network, now: datetime, days: int) -> Row:
    ends, at_ms = (link["one"], link["other"]), data.ms_of(now)
    course = booked.course(ends, at_ms, data.ms_of(now + timedelta(days=days))) if days else []
    (moment,) = booked.course(ends, at_ms, at_ms + 1)
    return link_shown(link) | {
        "limit_gbit_s": moment.limit / BYTES_MS_PER_GBIT_S,
        "reserved_gbit_s": moment.reserved / BYTES_MS_PER_GBIT_S,
        "free_gbit_s": booked.free(ends, at_ms) / BYTES_MS_PER_GBIT_S,
        "windows": [window_shown(row) for row in windows if (row["one"], row["other"]) == ends],
        "course": [_stretch_shown(stretch) for stretch in course],
    }


def _stretch_shown(stretch: Stretch) -> Row:
    return {
        "from": _moment(stretch.start_ms),
        "until": _moment(stretch.end_ms),
        "limit_gbit_s": stretch.limit / BYTES_MS_PER_GBIT_S,
        "reserved_gbit_s": stretch.reserved / BYTES_MS_PER_GBIT_S,
    }


def _carried(session: Session, ends: Ends, now: datetime, days: int) -> list[Row]:
    """By day in China the bytes handed out to transfers whose path, as it was last, has the link.

    A transfer counts on the day on which it ended; one on its way counts today.
    """
    today = now.astimezone(CHINA).date()
    first = today - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=CHINA)
    found: dict[date, list[int]] = {first + timedelta(days=place): [] for place in range(days)}
    for row in transfers.handed_out(session, since):
        if ends in data.path_of(row):
            day = row["ended_at"].astimezone(CHINA).date() if row["ended_at"] else today
            found[min(day, today)].append(row["sent_bytes"])
    return [
        {"day": day.isoformat(), "bytes": sum(sizes), "transfers": len(sizes)} for day, sizes in sorted(found.items())
    ]


def _moment(at_ms: int) -> str:
    return rfc3339(datetime.fromtimestamp(at_ms / 1000, UTC))
