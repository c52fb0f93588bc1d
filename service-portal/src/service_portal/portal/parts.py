"""Parts of a page that may each fail on their own, and the trend of pushes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from brain_kit.problems import Problem, problem_body

from service_portal.portal.drawings import Bar
from service_portal.portal.formats import CHINA, moment
from service_portal.portal.security import current_request_id

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """What an API gave for one panel, or the problem that stands in its place."""

    value: T | None
    problem: dict[str, Any] | None = None


def part(load: Callable[[], T]) -> Part[T]:
    """Load one panel; a Problem becomes part of the page instead of failing it."""
    try:
        return Part(load())
    except Problem as problem:
        return Part(None, problem_body(problem, request_id=current_request_id()))


_STEPS = (
    (timedelta(minutes=1), timedelta(minutes=20), "%H:%M"),
    (timedelta(minutes=5), timedelta(hours=2), "%H:%M"),
    (timedelta(hours=1), timedelta(hours=36), "%d 日 %H 时"),
    (timedelta(days=1), timedelta(days=60), "%m-%d"),
)


@dataclass(frozen=True)
class Trend:
    """Rows pushed per step of time; first and last step hold the oldest and newest push."""

    bars: list[Bar]
    accepted: int
    rejected: int
    pushes: int
    step: timedelta


def push_trend(pushes: Sequence[dict[str, Any]]) -> Trend | None:
    """Accepted and rejected rows by minutes, hours or days, whichever fits the pushes into 12 to 60 bars."""
    times = [(moment(push.get("created_at")), push) for push in pushes]
    known = [(when, push) for when, push in times if when is not None]
    if not known:
        return None
    first, last = min(when for when, _ in known), max(when for when, _ in known)
    step, _, form = next((entry for entry in _STEPS if last - first <= entry[1]), _STEPS[-1])
    start = max(_floor(first, step), _floor(last, step) - 59 * step)
    start = min(start, _floor(last, step) - 11 * step)
    count = int((_floor(last, step) - start) / step) + 1
    accepted, rejected = [0] * count, [0] * count
    for when, push in known:
        index = int((_floor(when, step) - start) / step)
        if 0 <= index < count:
            accepted[index] += int(push.get("accepted") or 0)
            rejected[index] += int(push.get("rejected") or 0)
    labels = [(start + index * step).astimezone(CHINA).strftime(form) for index in range(count)]
    bars = [Bar(label, float(a), float(r)) for label, a, r in zip(labels, accepted, rejected, strict=True)]
    return Trend(bars, sum(accepted), sum(rejected), len(known), step)


def _floor(when: datetime, step: timedelta) -> datetime:
    local = when.astimezone(CHINA)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + int((local - day) / step) * step
