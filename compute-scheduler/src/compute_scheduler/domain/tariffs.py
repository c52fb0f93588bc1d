"""What a kilowatt hour costs by the time of use 分时电价: periods of the day, by month, in China's time.

A tariff says for every minute of a day of every month which kind of period it is (sharp 尖, peak 峰, flat 平, valley
谷, deep valley 深谷) and what a kWh costs then. Prices are whole millionths of a yuan.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

from compute_scheduler.domain.ledger import MICRO, Usage, micro_of

CHINA_S = 8 * 3600  # no daylight saving since 1991
DAY_S, DAY_MIN = 86_400, 1440
EPOCH = date(1970, 1, 1).toordinal()
KINDS = ("sharp", "peak", "flat", "valley", "deep")
COLUMNS = ("months", "from", "until", "kind", "yuan_kwh")
MOST_PERIODS = 500
_NAMES = {
    "月份": "months",
    "开始": "from",
    "结束": "until",
    "时段": "kind",
    "元每千瓦时": "yuan_kwh",
    "price": "yuan_kwh",
}
_KINDS = {"尖": "sharp", "峰": "peak", "平": "flat", "谷": "valley", "深谷": "deep"}
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_MONTHS = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")


class BadTariff(ValueError):
    """Periods that are no tariff; the message names the line or the time and what is wrong."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the day in some months: minutes since midnight, until over the next midnight where it is less.

    price: millionths of a yuan a kWh.
    """

    months: tuple[int, ...]
    start: int
    until: int
    kind: str
    price: int

    def stretches(self) -> list[tuple[int, int]]:
        """Within a day, from and until in minutes."""
        if self.start < self.until:
            return [(self.start, self.until)]
        return [(self.start, DAY_MIN)] + ([(0, self.until)] if self.until else [])


@dataclass(frozen=True, slots=True)
class _Day:
    """The days of a month: where each stretch begins (seconds), its kind and price, and the sum up to there."""

    starts: tuple[int, ...]
    kinds: tuple[str, ...]
    prices: tuple[int, ...]
    sums: tuple[int, ...]

    def until(self, second: float) -> float:
        """Millionths of a yuan a kWh times seconds, from midnight to a second of the day."""
        place = bisect_right(self.starts, second) - 1
        return self.sums[place] + self.prices[place] * (second - self.starts[place])

    @property
    def whole(self) -> int:
        """The same for the whole day."""
        return self.sums[-1] + self.prices[-1] * (DAY_S - self.starts[-1])


@dataclass(frozen=True, slots=True)
class Tariff:
    """A year of days. Raises BadTariff unless every minute of every month has exactly one price."""

    periods: tuple[Period, ...]
    _days: tuple[_Day, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_days", tuple(_day_of(self.periods, month) for month in range(1, 13)))

    def at(self, time: float) -> tuple[str, int]:
        """Kind of the period and millionths of a yuan a kWh at a time (seconds since 1970-01-01 UTC)."""
        day, second = divmod(time + CHINA_S, DAY_S)
        found = self._days[_month(int(day)) - 1]
        place = bisect_right(found.starts, second) - 1
        return found.kinds[place], found.prices[place]

    def integral_s(self, from_at: float, until_at: float) -> float:
        """Yuan a kWh times seconds between two times, each moment at its own price."""
        first, start_s = divmod(from_at + CHINA_S, DAY_S)
        last, end_s = divmod(until_at + CHINA_S, DAY_S)
        total = -self._of(first).until(start_s) + self._of(last).until(end_s)
        for day in range(int(first), int(last)):
            total += self._of(day).whole
        return total / MICRO

    def hours(self, month: int) -> list[list[Any]]:
        """The stretches of a day of a month: [minute of its start, kind, millionths of a yuan a kWh]."""
        found = self._days[month - 1]
        return [[s // 60, kind, price] for s, kind, price in zip(found.starts, found.kinds, found.prices, strict=True)]

    def _of(self, day: float) -> _Day:
        return self._days[_month(int(day)) - 1]


def read_tariff(lines: Iterable[str]) -> Tariff:
    """A tariff from CSV with the columns months (`1-12`, `6-8`, `1 2 12`), from and until (`HH:MM`, `24:00` too; until
    may lie after midnight), kind (sharp, peak, flat, valley, deep, or 尖 峰 平 谷 深谷) and yuan_kwh.

    Raises BadTariff.
    """
    rows = csv.reader(lines)
    head = [_NAMES.get(name.strip(), name.strip()) for name in next(rows, [])]
    if sorted(head) != sorted(COLUMNS):
        raise BadTariff(f"第 1 行：列应为 {','.join(COLUMNS)}（或 月份,开始,结束,时段,元每千瓦时）")
    periods: list[Period] = []
    for row in rows:
        if not row:
            continue
        if len(row) != len(head) or len(periods) >= MOST_PERIODS:
            raise BadTariff(f"第 {rows.line_num} 行：应有 {len(head)} 列，最多 {MOST_PERIODS} 个时段")
        try:
            periods.append(_period(dict(zip(head, (cell.strip() for cell in row), strict=True))))
        except ValueError as error:
            raise BadTariff(f"第 {rows.line_num} 行：{error}") from None
    return Tariff(tuple(periods))


def scopes(centre: str, region: str | None) -> list[str]:
    """Whose tariffs hold for a centre, the nearest first: its own, its county's, its city's, its province's."""
    return [centre] + ([] if region is None else list(dict.fromkeys((region, f"{region[:4]}00", f"{region[:2]}0000"))))


def electricity(usage: Usage, energy_uwh: int | None, tariff: Tariff | None) -> int | None:
    """Millionths of a yuan for the energy of a stretch, taken evenly over its time; None when either is not known."""
    if energy_uwh is None or tariff is None:
        return None
    start, end = usage.started_at.timestamp(), usage.ended_at.timestamp()
    mean = round(tariff.integral_s(start, end) / (end - start) * MICRO) if end > start else tariff.at(end)[1]
    return round(Fraction(energy_uwh * mean, 10**9))


def _period(cells: dict[str, str]) -> Period:
    kind = _KINDS.get(cells["kind"], cells["kind"])
    if kind not in KINDS:
        raise BadTariff(f"时段 {cells['kind'][:20]!r} 应为 {'、'.join(_KINDS)} 或 {', '.join(KINDS)}")
    start, until = _minutes(cells["from"]), _minutes(cells["until"])
    if start in (until, DAY_MIN):
        raise BadTariff(f"{cells['from']}–{cells['until']} 没有长度")
    return Period(_months(cells["months"]), start, until, kind, micro_of(cells["yuan_kwh"]))


def _minutes(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else DAY_MIN + 1
    if minutes > DAY_MIN:
        raise BadTariff(f"时刻 {text[:20]!r} 应为 HH:MM，如 08:30，最晚 24:00")
    return minutes


def _months(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in re.split(r"[\s,;、]+", text):
        span = _MONTHS.fullmatch(part)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, 0)
        if not (1 <= first <= 12 and 1 <= last <= 12):
            raise BadTariff(f"月份 {text[:40]!r} 应如 1-12、6-8 或 1 2 12")
        found += range(first, last + 1) if first <= last else [*range(first, 13), *range(1, last + 1)]
    return tuple(dict.fromkeys(found))


def _day_of(periods: Sequence[Period], month: int) -> _Day:
    stretches = sorted(
        (start, until, period.kind, period.price)
        for period in periods
        if month in period.months
        for start, until in period.stretches()
    )
    edges = [(0, 0), *((start, until) for start, until, _, _ in stretches), (DAY_MIN, DAY_MIN)]
    for (_, until), (start, _) in pairwise(edges):
        if until != start:
            at = min(until, start)
            word = "没有时段" if until < start else "有两个时段"
            raise BadTariff(f"{month} 月 {at // 60:02d}:{at % 60:02d} {word}")
    starts = [start * 60 for start, *_ in stretches]
    sums = accumulate(((until - start) * 60 * price for start, until, _, price in stretches[:-1]), initial=0)
    kinds, prices = [kind for _, _, kind, _ in stretches], [price for *_, price in stretches]
    return _Day(tuple(starts), tuple(kinds), tuple(prices), tuple(sums))


def _month(day: int) -> int:
    return date.fromordinal(EPOCH + day).month
