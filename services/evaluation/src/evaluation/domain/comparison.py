"""Clusters beside each other, values against targets, and figures over time; a missing value is never zero."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Standing:
    """A cluster among others. rank: 1 is the largest value, equal values share a rank; None without a value.

    gap: value less the largest one, at most 0.
    """

    cluster: str
    value: float | None
    rank: int | None
    gap: float | None


@dataclass(frozen=True)
class Comparison:
    """Clusters in the order of their rank, those without a value last; median of the values that there are."""

    standings: tuple[Standing, ...]
    median: float | None
    largest: float | None
    without_value: int


@dataclass(frozen=True)
class TargetCheck:
    """A value against a target. share: value over target, None when the target is zero or a value is missing."""

    value: float | None
    target: float | None
    state: Literal["reached", "short", "unknown"]
    share: float | None
    gap: float | None


@dataclass(frozen=True)
class Point:
    """A figure of a period (as `Period.text`); value None where there was none."""

    period: str
    value: float | None


@dataclass(frozen=True)
class Trend:
    """A series with its last change. change: last value over the one before it less 1; None when either is missing or
    the earlier one is zero. gaps: periods without a value.
    """

    points: tuple[Point, ...]
    last: Point | None
    previous: Point | None
    change: float | None
    difference: float | None
    gaps: tuple[str, ...]


def compare_clusters(values: Mapping[str, float | None]) -> Comparison:
    """Ranks clusters by one indicator; larger is better, as for every indicator that has a number."""
    known = sorted((value for value in values.values() if value is not None), reverse=True)
    largest = known[0] if known else None
    standings = [
        Standing(
            cluster,
            value,
            None if value is None else known.index(value) + 1,
            None if value is None or largest is None else value - largest,
        )
        for cluster, value in values.items()
    ]
    return Comparison(
        standings=tuple(sorted(standings, key=lambda item: (item.rank is None, item.rank or 0, item.cluster))),
        median=statistics.median(known) if known else None,
        largest=largest,
        without_value=len(values) - len(known),
    )


def against_target(value: float | None, target: float | None) -> TargetCheck:
    """Whether a value reaches its target."""
    if value is None or target is None:
        return TargetCheck(value, target, "unknown", None, None)
    share = value / target if target else None
    return TargetCheck(value, target, "reached" if value >= target else "short", share, value - target)


def trend(points: Sequence[Point]) -> Trend:
    """The series as given, oldest first, with the change from its last value's predecessor.

    The predecessor is the point directly before: a gap is not bridged, so a change always spans one step.
    """
    place = max((number for number, point in enumerate(points) if point.value is not None), default=None)
    last = None if place is None else points[place]
    previous = points[place - 1] if place else None
    before = None if previous is None else previous.value
    now = None if last is None else last.value
    difference = None if now is None or before is None else now - before
    change = difference / abs(before) if difference is not None and before else None
    gaps = tuple(point.period for point in points if point.value is None)
    return Trend(tuple(points), last, previous, change, difference, gaps)
