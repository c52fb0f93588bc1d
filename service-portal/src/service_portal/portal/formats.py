"""How numbers, times and sizes are written on a page: one place, both languages.

A missing value is an em dash, never 0. Money arrives in 万元, counts as plain numbers, times in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from jinja2 import Undefined

MISSING = "—"
CHINA = timezone(timedelta(hours=8))  # no daylight saving since 1991
MOST_DECIMALS = 9
# Units of the data sets' columns in English; others are shown as they are.
_UNITS_EN = {"千瓦时": "kWh", "吨标准煤": "tce", "吨": "t", "人": "people", "家": "enterprises", "项": "items"}
_SIZES = ("B", "KB", "MB", "GB", "TB", "PB")


class Scaled(NamedTuple):
    """A figure ready to show: digits and unit apart, since they are set in different sizes."""

    digits: str
    unit: str


def is_missing(value: Any) -> bool:
    """True for None, the empty string, NaN, and a member that an API left out."""
    return (
        value is None or isinstance(value, Undefined) or value == "" or (isinstance(value, float) and math.isnan(value))
    )


def number(value: Any, digits: int | None = None) -> str:
    """Thousands separated; digits fixes the decimals, else integers show none and others two or three significant."""
    if is_missing(value):
        return MISSING
    amount = float(value)
    if digits is None:
        digits = decimals(amount)
    text = f"{amount:,.{digits}f}"
    return text.replace("-", "−") if amount < 0 else text


def accelerators(held: Mapping[str, float]) -> str:
    """Devices by kind, or part of one: `A100 × 2`, `A100 / V100 × 0.25`; empty when there are none."""
    return ", ".join(f"{kind.replace('|', ' / ')} × {number:g}" for kind, number in held.items())


def decimals(amount: float) -> int:
    """The decimals at which a number is written when it stands alone."""
    if math.isfinite(amount) and amount == int(amount):
        return 0
    size = abs(amount)
    if size >= 100:
        return 1
    if size >= 0.01:
        return 2 if size >= 1 else 3
    # Two significant digits: a small figure must not look like zero.
    return min(MOST_DECIMALS, 1 - math.floor(math.log10(size)))


def count(value: Any, unit: str = "", locale: str = "zh") -> Scaled:
    """A count scaled to 万 and 亿 (zh) or k, M (en), one decimal when scaled."""
    unit = unit if locale == "zh" else _UNITS_EN.get(unit, unit)
    if is_missing(value):
        return Scaled(MISSING, unit)
    amount = float(value)
    steps = ((1e8, "亿"), (1e4, "万")) if locale == "zh" else ((1e9, "bn "), (1e6, "M "), (1e5, "k "))
    for step, name in steps:
        if abs(amount) >= step:
            divisor = 1e3 if name == "k " else step
            return Scaled(number(amount / divisor, 1), f"{name}{unit}".strip())
    return Scaled(number(amount, 0 if amount == int(amount) else None), unit)


def money(value: Any, locale: str = "zh") -> Scaled:
    """An amount given in 万元, shown in 亿元 from one 亿 up; in English as CNY million or billion."""
    if is_missing(value):
        return Scaled(MISSING, "亿元" if locale == "zh" else "CNY m")
    amount = float(value)
    if locale == "zh":
        return Scaled(number(amount / 1e4, 1), "亿元") if abs(amount) >= 1e4 else Scaled(number(amount, 0), "万元")
    if abs(amount) >= 1e5:
        return Scaled(number(amount / 1e5, 2), "CNY bn")
    return Scaled(number(amount / 100, 1), "CNY m")


def percent(value: Any, signed: bool = False) -> str:
    """A ratio as percent with one decimal; signed puts + before a gain."""
    if is_missing(value):
        return MISSING
    amount = float(value) * 100
    sign = "+" if signed and amount > 0 else ""
    return f"{sign}{number(amount, 1)}%"


def size(value: Any) -> str:
    """Bytes in the nearest decimal unit, three significant digits."""
    if is_missing(value):
        return MISSING
    amount = float(value)
    for unit in _SIZES:
        if amount < 1000 or unit == _SIZES[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return MISSING


def moment(value: Any) -> datetime | None:
    """A datetime from RFC 3339 text, a datetime or a date; None when there is none."""
    if is_missing(value):
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=CHINA)
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def time(value: Any, form: str = "%Y-%m-%d %H:%M") -> str:
    """Time of day in China (UTC+8)."""
    known = moment(value)
    return known.astimezone(CHINA).strftime(form) if known else MISSING


def ago(value: Any, now: datetime, locale: str = "zh") -> str:
    """How long since, in the largest unit that fits."""
    known = moment(value)
    if known is None:
        return MISSING
    seconds = max(0.0, (now - known).total_seconds())
    units = ((86400, " 天前", " d ago"), (3600, " 小时前", " h ago"), (60, " 分钟前", " min ago"))
    for length, chinese, english in units:
        if seconds >= length:
            return f"{int(seconds // length)}{chinese if locale == 'zh' else english}"
    return "刚刚" if locale == "zh" else "just now"
