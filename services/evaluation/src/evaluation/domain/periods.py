"""Periods of whole months, as users choose them: a year, a quarter, a month, or a span."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])\Z", re.ASCII)
_YEAR = re.compile(r"(\d{4})\Z", re.ASCII)
_QUARTER = re.compile(r"(\d{4})-?Q([1-4])\Z", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1990, 2100
MOST_MONTHS = 240


class PeriodInvalid(ValueError):
    """The text is no period; the message says how one is written."""


@dataclass(frozen=True, order=True)
class Period:
    """The months from `first` to `last`, both `YYYY-MM`, both included. Raises PeriodInvalid."""

    first: str
    last: str

    def __post_init__(self) -> None:
        for month in (self.first, self.last):
            matched = _MONTH.match(month)
            if not matched or not FIRST_YEAR <= int(matched[1]) <= LAST_YEAR:
                raise PeriodInvalid(f"月份 {month} 不对，应写作 2025-10，年份 {FIRST_YEAR} 到 {LAST_YEAR}")
        if self.first > self.last:
            raise PeriodInvalid(f"期间的开始 {self.first} 晚于结束 {self.last}，请对调")
        if self.length > MOST_MONTHS:
            raise PeriodInvalid(f"期间有 {self.length} 个月，最多 {MOST_MONTHS} 个月")

    @property
    def length(self) -> int:
        """Number of months."""
        return _index(self.last) - _index(self.first) + 1

    @property
    def months(self) -> tuple[str, ...]:
        """Every month, oldest first."""
        return tuple(_month(index) for index in range(_index(self.first), _index(self.last) + 1))

    @property
    def first_day(self) -> date:
        """First day of the first month."""
        year, month = (int(piece) for piece in self.first.split("-"))
        return date(year, month, 1)

    @property
    def last_day(self) -> date:
        """Last day of the last month."""
        year, month = (int(piece) for piece in self.last.split("-"))
        return date(year, month, calendar.monthrange(year, month)[1])

    @property
    def is_calendar_year(self) -> bool:
        """Whether the period is January to December of one year."""
        return self.first[:4] == self.last[:4] and self.first.endswith("-01") and self.last.endswith("-12")

    @property
    def text(self) -> str:
        """The shortest form that `parse_period` reads back: 2025, 2025Q3, 2025-10 or 2025-01..2025-06."""
        if self.is_calendar_year:
            return self.first[:4]
        if self.first == self.last:
            return self.first
        index = _index(self.first)
        if self.length == 3 and index % 3 == 0:
            return f"{self.first[:4]}Q{index % 12 // 3 + 1}"
        return f"{self.first}..{self.last}"

    def shifted(self, months: int) -> Period:
        """The period so many months later (earlier when negative). Raises PeriodInvalid outside the known years."""
        return Period(_month(_index(self.first) + months), _month(_index(self.last) + months))

    def ending_here(self, months: int) -> Period:
        """The so many months that end with this period's last month."""
        return Period(_month(_index(self.last) - months + 1), self.last)


def parse_period(text: str) -> Period:
    """The period written as 2025, 2025Q3, 2025-10 or 2025-01..2025-12. Raises PeriodInvalid."""
    if _YEAR.match(text):
        return Period(f"{text}-01", f"{text}-12")
    if matched := _QUARTER.match(text):
        last = int(matched[2]) * 3
        return Period(f"{matched[1]}-{last - 2:02d}", f"{matched[1]}-{last:02d}")
    first, dots, last_month = text.partition("..")
    if not _MONTH.match(first) or (dots and not _MONTH.match(last_month)):
        raise PeriodInvalid(f"期间 {text[:40]} 不对，应写作 2025、2025Q3、2025-10 或 2025-01..2025-12")
    return Period(first, last_month if dots else first)


def previous_year(today: date) -> Period:
    """The calendar year before a day: the 上年度 of the documents."""
    return parse_period(str(today.year - 1))


def yearly_windows(last: str, count: int) -> tuple[Period, ...]:
    """`count` windows of twelve months, each ending a month later, the newest ending with `last`; oldest first."""
    return tuple(Period(last, last).shifted(-back).ending_here(12) for back in range(count - 1, -1, -1))


def _index(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1


def _month(index: int) -> str:
    return f"{index // 12:04d}-{index % 12 + 1:02d}"
