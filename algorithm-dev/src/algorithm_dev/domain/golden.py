"""The comparison of a component's results with the published values of its card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np

from algorithm_dev.domain.card import GoldenVector, Tolerance
from algorithm_dev.domain.findings import shown

MAX_DIFFERENCES = 100


class Difference(NamedTuple):
    """One value that is not what the source says. `row` counts from 1; None speaks of the whole result."""

    vector: str
    row: int | None
    column: str
    expected: str
    got: str
    tolerance: str

    @property
    def told(self) -> str:
        """The difference in one sentence."""
        place = f"第 {self.row} 行 {self.column}" if self.row is not None else self.column
        return f"{self.vector}：{place} 应为 {self.expected}，得到 {self.got}（容差 {self.tolerance}）"


def compare_golden(vector: GoldenVector, got: Any) -> list[Difference]:
    """Where a result differs from the golden vector, at most MAX_DIFFERENCES; [] means that it was reproduced.

    got: a list of rows, or arrays (or nested lists) by tensor name, like the vector's outputs. A number passes when
    |got - expected| <= absolute + relative * |expected|; NaN and null are equal to each other and to nothing else.
    """
    found: list[Difference] = []
    pairs = _rows(vector, got) if isinstance(vector.outputs, list) else _tensors(vector, got)
    for difference in pairs:
        found.append(difference)
        if len(found) >= MAX_DIFFERENCES:
            break
    return found


def _tolerance(vector: GoldenVector, column: str) -> Tolerance:
    return vector.tolerances.get(column, vector.tolerance)


def _rows(vector: GoldenVector, got: Any) -> Iterator[Difference]:
    if not isinstance(got, Sequence) or isinstance(got, str | bytes):
        yield Difference(vector.name, None, "rows", "行的列表", type(got).__name__, "无")
        return
    expected: Sequence[dict[str, Any]] = vector.outputs  # type: ignore[assignment]
    if not vector.key and len(got) != len(expected):
        yield Difference(vector.name, None, "rows", f"{len(expected)} 行", f"{len(got)} 行", "无")
        return
    for number, row in enumerate(expected, 1):
        match = got[number - 1] if not vector.key else _found(vector, row, got)
        if match is None:
            key = "、".join(f"{name}={shown(row[name])}" for name in vector.key)
            yield Difference(vector.name, number, "key", f"一行 {key}", "没有或不止一行", "无")
            continue
        for column, value in row.items():
            given = match.get(column, "缺少该列") if isinstance(match, Mapping) else "不是行"
            yield from _value(vector, number, column, value, given)


def _found(vector: GoldenVector, row: Mapping[str, Any], got: Sequence[Any]) -> Any:
    matches = [
        item
        for item in got
        if isinstance(item, Mapping) and all(_same(row[name], item.get(name), Tolerance()) for name in vector.key)
    ]
    return matches[0] if len(matches) == 1 else None


def _tensors(vector: GoldenVector, got: Any) -> Iterator[Difference]:
    expected: Mapping[str, Any] = vector.outputs  # type: ignore[assignment]
    for name, value in expected.items():
        if not isinstance(got, Mapping) or name not in got:
            yield Difference(vector.name, None, name, "一个张量", "没有", "无")
            continue
        wanted, given = _array(value), _array(got[name])
        if wanted.shape != given.shape:
            yield Difference(vector.name, None, name, f"形状 {list(wanted.shape)}", f"形状 {list(given.shape)}", "无")
            continue
        for index in np.ndindex(wanted.shape):
            row = index[0] + 1 if index else None
            place = f"{name}{list(index[1:])}" if len(index) > 1 else name
            yield from _value(vector, row, place, wanted[index], given[index], name)


def _array(value: Any) -> np.ndarray[Any, Any]:
    """The value as an array; ragged lists become an array of lists, whose shape then differs."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(value, dtype=np.object_)


def _value(
    vector: GoldenVector, row: int | None, column: str, expected: Any, got: Any, rule: str | None = None
) -> Iterator[Difference]:
    tolerance = _tolerance(vector, rule or column)
    if not _same(expected, got, tolerance):
        told = f"绝对 {tolerance.absolute:g}、相对 {tolerance.relative:g}"
        yield Difference(vector.name, row, column, shown(_plain(expected)), shown(_plain(got)), told)


def _same(expected: Any, got: Any, tolerance: Tolerance) -> bool:
    expected, got = _plain(expected), _plain(got)
    if expected is None or got is None:
        return expected is None and got is None
    if isinstance(expected, bool) or isinstance(got, bool):
        return type(expected) is type(got) and bool(expected == got)
    if isinstance(expected, int | float) and isinstance(got, int | float):
        if math.isinf(expected) or math.isinf(got):
            return expected == got
        return abs(got - expected) <= tolerance.absolute + tolerance.relative * abs(expected)
    return type(expected) is type(got) and bool(expected == got)


def _plain(value: Any) -> Any:
    """A value in the types of JSON: times as ISO text, NaN as null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
