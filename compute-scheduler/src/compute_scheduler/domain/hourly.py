"""Values by the hour, such as the carbon intensity of a grid or a tariff: read from CSV, integrated over time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate

HOUR_S = 3600
MOST_HOURS = 10 * 366 * 24
LONGEST_GAP_H = 48


class BadSeries(ValueError):
    """A series that cannot be read; the message names the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Hourly:
    """One value an hour from a moment on, repeated before and after: a year of measurements, a day of a tariff, or one
    value for ever.

    start_at: seconds since 1970-01-01 UTC. Raises ValueError without a value.
    """

    start_at: float
    values: tuple[float, ...]
    _sums: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a series has at least one value")
        object.__setattr__(self, "_sums", tuple(accumulate(self.values, initial=0.0)))

    def at(self, time: float) -> float:
        """The value at a time."""
        return self.values[int((time - self.start_at) // HOUR_S) % len(self.values)]

    def integral_s(self, from_at: float, until_at: float) -> float:
        """Value times seconds between two times; exact for whole values and seconds."""
        return self._until(until_at - self.start_at) - self._until(from_at - self.start_at)

    def _until(self, since_s: float) -> float:
        hours, rest_s = divmod(since_s, HOUR_S)
        rounds, hour = divmod(int(hours), len(self.values))
        return (rounds * self._sums[-1] + self._sums[hour]) * HOUR_S + self.values[hour] * rest_s


def constant(value: float) -> Hourly:
    """The same value for ever."""
    return Hourly(0.0, (value,))


def read_hourly(lines: Iterable[str]) -> dict[str, Hourly]:
    """Columns of a CSV file: the hour (UTC, ISO 8601, such as 2022-01-01T00:00Z) and one value a column.

    Hours ascend; an hour that is missing has the value of the one before it, for up to two days in a row. Values are
    numbers from 0 on. Raises BadSeries.
    """
    rows = csv.reader(lines)
    head = next(rows, [])
    names = [name.strip() for name in head[1:]]
    if not names or not all(names) or len(set(names)) != len(names):
        raise BadSeries("line 1: a column of hours and at least one named column of values are needed, no name twice")
    columns: list[list[float]] = [[] for _ in names]
    start: datetime | None = None
    for row in rows:
        if not row:
            continue
        hour, values = _row(rows.line_num, row, len(names))
        start = start or hour
        missing = round((hour - start) / timedelta(hours=1)) - len(columns[0])
        if missing < 0 or missing > LONGEST_GAP_H:
            raise BadSeries(f"line {rows.line_num}: hours ascend, and at most {LONGEST_GAP_H} in a row are missing")
        if len(columns[0]) + missing >= MOST_HOURS:
            raise BadSeries(f"line {rows.line_num}: more than ten years")
        for column, value in zip(columns, values, strict=True):
            column += [column[-1] if missing else value] * missing + [value]
    if start is None:
        raise BadSeries("line 2: there are no values")
    return {name: Hourly(start.timestamp(), tuple(column)) for name, column in zip(names, columns, strict=True)}


def _row(number: int, row: list[str], columns: int) -> tuple[datetime, list[float]]:
    if len(row) != columns + 1:
        raise BadSeries(f"line {number}: {len(row)} columns instead of {columns + 1}")
    try:
        hour = datetime.fromisoformat(row[0].strip())
        values = [float(value) for value in row[1:]]
    except ValueError as error:
        raise BadSeries(f"line {number}: {error}") from None
    if hour.tzinfo is None or hour.minute or hour.second or hour.microsecond:
        raise BadSeries(f"line {number}: {row[0]!r} is no whole hour with its offset from UTC, as 2022-01-01T00:00Z is")
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise BadSeries(f"line {number}: a value is not a number from 0 on")
    return hour.astimezone(UTC), values
