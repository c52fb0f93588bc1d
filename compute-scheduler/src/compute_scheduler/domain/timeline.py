"""Reserved starts: nodes kept from a time on for blocked jobs (EASY backfill, Lifka 1995), and what they leave to
others.

Specification. Running jobs hold their amounts until their time limits; a reservation holds its job's amounts on its
node from its start for the job's time limit. A job may start now on a node only if, with all of these, the node is
never overfull. A new reservation takes the earliest time at which that is so for its job; of several nodes the first
by id. Parts of accelerators are added up here: whether they fit on one device is only seen at the start
(`placement.py`), so where devices are shared the time of a reservation is the earliest possible and no promise.

Shortcuts, each without effect on the answer:
- Without reservations a node only grows emptier, so what fits now fits later: only reserved nodes are asked.
- With them, a node is fullest now or at the start of a reservation. So each reservation keeps what is spare at its
  start, and a job fits if it fits now and into what is spare at each reserved start before its end.
- A time for a new reservation can only be one at which something ends. These times are visited in order, adding what is
  given back, until the job fits.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from operator import itemgetter

from compute_scheduler.domain.placement import Lacking, NodeIndex
from compute_scheduler.domain.shapes import Amounts, Shape, members

End = tuple[float, int, str, Shape]
"""When a job must have ended, its node (place), its id and its shape."""


@dataclass(eq=False, slots=True)
class Reserved:
    """A reserved start and what would be left on the node at that time, by resource name in whole units."""

    job_id: str
    place: int
    start_at: float
    end_at: float
    amounts: Amounts
    spare: dict[str, int]

    @property
    def order(self) -> tuple[float, str]:
        """The earlier start first."""
        return self.start_at, self.job_id


def is_usable(index: NodeIndex, place: int, shape: Shape) -> bool:
    """Whether a job of the shape may run on a node and fits when it is empty."""
    node = index.nodes[place]
    is_here = not shape.centres or node.centre in shape.centres
    return is_here and index.open[place] and node.capacity.covers(shape.demand)


def fits(amounts: Amounts, free: Mapping[str, int]) -> bool:
    """Whether amounts fit into what is free."""
    return all(free.get(name, 0) >= amount for name, amount in amounts)


def shift(free: dict[str, int], amounts: Amounts, sign: int) -> None:
    """Adds amounts (sign 1) or takes them (-1)."""
    for name, amount in amounts:
        free[name] = free.get(name, 0) + sign * amount


def _when(event: tuple[float, int, Amounts]) -> tuple[float, int]:
    return event[:2]


class Timeline:
    """The reservations of one plan."""

    def __init__(self) -> None:
        self.reserved: list[Reserved] = []
        self._at: dict[int, list[Reserved]] = {}

    def at(self, place: int) -> list[Reserved]:
        """The reservations on a node by start, then job id."""
        return self._at.get(place, [])

    def blocker(self, place: int, amounts: Amounts, ends_by_at: float) -> Reserved | None:
        """The first reservation by start, then job id, that a job started now and running until then would delay."""
        for kept in self._at.get(place, ()):
            if kept.start_at < ends_by_at and not fits(amounts, kept.spare):
                return kept
        return None

    def best(
        self, shape: Shape, index: NodeIndex, ends_by_at: float, centre: str | None = None
    ) -> tuple[int | None, Lacking, Reserved | None]:
        """The node of best fit for a job started now, or None, what was lacking and the earliest reservation that kept
        a node from it. centre: only its nodes.
        """
        if not self.reserved:
            return *index.best(shape, None, centre), None
        blockers: list[Reserved] = []

        def is_allowed(place: int) -> bool:
            blocker = self.blocker(place, index.on(place, shape).amounts, ends_by_at)
            if blocker is not None:
                blockers.append(blocker)
            return blocker is None

        place, lacking = index.best(shape, is_allowed, centre)
        return place, lacking, min(blockers, key=lambda kept: kept.order, default=None)

    def start(self, place: int, amounts: Amounts, ends_by_at: float, sign: int = -1) -> None:
        """Takes what a job started now uses at the reserved starts before its end, or gives it back (sign 1)."""
        for kept in self._at.get(place, ()):
            if kept.start_at < ends_by_at:
                shift(kept.spare, amounts, sign)

    def reserve(
        self, job_id: str, shape: Shape, time_limit_s: float, now: float, index: NodeIndex, ends: Iterable[End]
    ) -> Reserved | None:
        """Keeps the earliest start for a job that cannot start now; None when no node will ever have room.

        ends: of all that runs, in order of (end, place). An end that is past counts as now: the job is being stopped.
        """
        candidates: dict[int, bool] = {}
        freed: dict[int, dict[str, int]] = {}
        times = iter(self.times(ends, now))
        for end_at, place, amounts in times:
            usable = candidates.get(place)
            if usable is None:
                usable = candidates[place] = is_usable(index, place, shape)
            if not usable:
                continue
            free = freed.get(place)
            if free is None:
                free = freed[place] = index.free(place)
            shift(free, amounts, 1)
            asked = index.on(place, shape).amounts
            if fits(asked, free) and self.room(place, asked, free, end_at, end_at + time_limit_s):
                for same in times:
                    if same[:2] != (end_at, place):
                        break
                    shift(free, same[2], 1)
                return self.keep(Reserved(job_id, place, end_at, end_at + time_limit_s, asked, free))
        return None

    def times(self, ends: Iterable[End], now: float) -> Iterable[tuple[float, int, Amounts]]:
        """Ends of running jobs with what they give back, and of reservations (giving nothing), in order."""
        running = iter(ends)
        overdue: list[tuple[float, int, Amounts]] = []
        following: list[tuple[float, int, Amounts]] = []
        for end_at, place, _job_id, shape in running:
            if end_at > now:
                following.append((end_at, place, shape.amounts))
                break
            overdue.append((now, place, shape.amounts))
        reserved = sorted((kept.end_at, kept.place, ()) for kept in self.reserved)
        later = ((end_at, place, shape.amounts) for end_at, place, _job_id, shape in running)
        return chain(
            sorted(overdue, key=itemgetter(1)),
            merge(chain(following, later), reserved, key=_when) if reserved else chain(following, later),
        )

    def room(
        self, place: int, amounts: Amounts, free: Mapping[str, int], start_at: float, end_at: float, most: int = 1
    ) -> int:
        """How often a job fits from one time to another beside the reservations, at most `most` times.

        free: what running jobs leave at the start.
        """
        kept_here = self._at.get(place, ())
        if not kept_here:
            return members(amounts, free, most)
        now_free = dict(free)
        for kept in kept_here:
            if kept.start_at <= start_at < kept.end_at:
                shift(now_free, kept.amounts, -1)
        for spare in [kept.spare for kept in kept_here if start_at < kept.start_at < end_at]:
            most = members(amounts, spare, most)
        return members(amounts, now_free, most)

    def keep(self, new: Reserved) -> Reserved:
        """Adds a reservation; its `spare` comes in as what running jobs leave free at its start."""
        here = self._at.setdefault(new.place, [])
        for kept in here:
            if kept.start_at <= new.start_at < kept.end_at:
                shift(new.spare, kept.amounts, -1)
            if new.start_at <= kept.start_at < new.end_at:
                shift(kept.spare, new.amounts, -1)
        shift(new.spare, new.amounts, -1)
        insort(here, new, key=lambda kept: kept.order)
        self.reserved.append(new)
        return new
