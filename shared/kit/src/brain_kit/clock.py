"""Time: aware datetimes in UTC inside, RFC 3339 outside, months as `YYYY-MM`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "UTC+08:00")


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """The moment as `2026-01-02T03:04:05.123Z` (UTC, milliseconds, cut off rather than rounded).

    Raises ValueError on a naive datetime: its zone would be a guess.
    """
    return _aware(moment).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_rfc3339(text: str) -> datetime:
    """The aware UTC datetime of an RFC 3339 text. Raises ValueError on bad text or a missing zone."""
    return _aware(datetime.fromisoformat(text))


def month_of(moment: datetime, zone: timezone = CHINA) -> str:
    """The calendar month `YYYY-MM` of the moment in the zone (default: China, where business months are counted)."""
    return _aware(moment).astimezone(zone).strftime("%Y-%m")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is not accepted: add Z or an offset")
    return moment.astimezone(UTC)


def gather(last: float, pause_s: float) -> None:
    """Let what comes under load gather: return no sooner than `pause_s` after `last` (of `time.monotonic()`)."""
    early_s = last + pause_s - time.monotonic()
    if early_s > 0:
        time.sleep(early_s)
