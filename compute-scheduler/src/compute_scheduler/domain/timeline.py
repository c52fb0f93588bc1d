"""Reserved starts: nodes kept from a time on for blocked jobs (EASY backfill, Lifka 1995), and what they and windows
(`windows.py`) leave to others.

Specification. Running jobs hold their amounts until their time limits; a reservation holds its job's amounts on its
node from its start for the job's time limit. A job may start now on a node only if, with all of these, the node is
never overfull and no window is in its way. A new reservation takes the earliest time at which that is so for its job;
of several nodes the first by id. Parts of accelerators are added up here: whether they fit on one device is only seen
at the start (`placement.py`), so where devices are shared the time of a reservation is the earliest possible and no
promise. For the same reason a job of one member gets a node on which something ends at that time: one where nothing
does has had no device for it before, whatever its parts add up to.

Shortcuts, each without effect on the answer:
- Without reservations and windows a node only grows emptier, so what fits now fits later: only others are asked.
- With them, a node is fullest now or at the start of a reservation. So each reservation keeps what is spare at its
  start, and a job fits if it fits now and into what is spare at each reserved start before its end.
- What windows leave of a node of which they keep a part depends on who asks: it is counted anew each time.
- A time for a new reservation can only be one at which something ends. These times are visited in order, adding what is
  given back, until the job fits.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from operator import itemgetter

from compute_scheduler.domain.placement import Lacking, NodeIndex
from compute_scheduler.domain.shapes import Amounts, Shape, members
from compute_scheduler.domain.windows import Holders, Kept, Uses, Windows

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
    uses: Uses = ()

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


Obstacle = Reserved | Kept
"""What may stand in a job's way: a reserved start, or a window on a node."""


class Timeline:
    """The reservations of one plan beside the windows of the network.

    holders: what runs on nodes of which windows keep a part; whoever makes a timeline puts it there.
    """

    def __init__(self, index: NodeIndex, windows: Windows, now: float) -> None:
        self.index, self.windows, self.now = index, windows, now
        self.reserved: list[Reserved] = []
        self.holders = Holders()
        self._at: dict[int, list[Reserved]] = {}
        self._own: dict[Uses, set[int]] = {}

    def at(self, place: int) -> list[Reserved]:
        """The reservations on a node by start, then job id."""
        return self._at.get(place, [])

    def blocker(self, place: int, shape: Shape, ends_by_at: float) -> Obstacle | None:
        """The first obstacle by start, then id, to a job started now and running until then.

        shape: what it takes on that node.
        """
        has_windows = place in self.windows.at
        if has_windows and place in self.windows.parted:
            return self.barrier(place, shape, ends_by_at)
        amounts = shape.amounts
        found: Obstacle | None = None
        for kept in self._at.get(place, ()):
            if kept.start_at < ends_by_at and not fits(amounts, kept.spare):
                found = kept
                break
        if has_windows:
            closing = self.windows.closing(place, shape.uses, self.now, ends_by_at)
            if closing is not None and (found is None or closing.order < found.order):
                found = closing
        return found

    def barrier(
        self, place: int, shape: Shape, ends_by_at: float, without: Collection[str] = (), own: str = ""
    ) -> Obstacle | None:
        """The same, counted anew, for any node. without: jobs that are taken not to run; own: not to be reserved."""
        obstacles: list[Obstacle] = [
            kept for kept in self._at.get(place, ()) if kept.start_at < ends_by_at and kept.job_id != own
        ]
        obstacles += [
            kept
            for kept in self.windows.at.get(place, ())
            if kept.window.overlaps(self.now, ends_by_at) and kept.window.id not in shape.uses
        ]
        for item in sorted(obstacles, key=lambda item: item.order):
            if isinstance(item, Reserved):
                free, _ = self.left(place, shape.uses, item.start_at, without=without, own=own)
                if not fits(shape.amounts, free):
                    return item
            elif item.amounts is None:
                return item
            else:
                start_at = item.window.start_at
                at = start_at if start_at > self.now else None
                free, kept_there = self.left(place, shape.uses, at, without=without, own=own)
                if item.window.id in kept_there and not fits(shape.amounts, free):
                    return item
        return None

    def left(
        self, place: int, uses: Uses, at: float | None, *, without: Collection[str] = (), own: str = ""
    ) -> tuple[dict[str, int], Collection[str]]:
        """What jobs with these uses may take of a node at a time, and the windows that keep something from them.

        at: None is this moment, at which overdue jobs still hold what they have and nothing that is reserved does.
        """
        free = self.index.free(place)
        held: dict[Uses, dict[str, int]] = {}
        for end_at, job_id, amounts, names in self.holders.at(place):
            if job_id in without or not (at is None or end_at > at):
                shift(free, amounts, 1)
            else:
                shift(held.setdefault(names, {}), amounts, 1)
        if at is not None:
            for kept in self._at.get(place, ()):
                if kept.job_id != own and kept.start_at <= at < kept.end_at:
                    shift(free, kept.amounts, -1)
                    shift(held.setdefault(kept.uses, {}), kept.amounts, 1)
        kept_there = self.windows.kept(place, uses, self.now if at is None else at, held)
        for amounts_kept in kept_there.values():
            shift(free, tuple(amounts_kept.items()), -1)
        return free, kept_there

    def best(
        self, shape: Shape, ends_by_at: float, centre: str | None = None
    ) -> tuple[int | None, Lacking, Obstacle | None]:
        """The node of the placement for a job started now, or None, what was lacking and the earliest obstacle that
        kept a node from it. centre: only its nodes.
        """
        if not self.reserved and not self.windows.all:
            return *self.index.best(shape, None, centre), None
        own = self._own_places(shape.uses) if shape.uses else None
        if own:
            place, lacking, _ = self._search(shape, ends_by_at, centre, own)
            if place is not None:
                return place, lacking, None
        return self._search(shape, ends_by_at, centre, None)

    def _own_places(self, uses: Uses) -> set[int]:
        found = self._own.get(uses)
        if found is None:
            found = self._own[uses] = self.windows.own(uses, self.now)
        return found

    def _search(
        self, shape: Shape, ends_by_at: float, centre: str | None, only: set[int] | None
    ) -> tuple[int | None, Lacking, Obstacle | None]:
        if only is not None and centre is None:
            centres = {self.index.nodes[place].centre for place in only}
            centre = centres.pop() if len(centres) == 1 else None
        closed = self._closed(shape.uses, ends_by_at) if self.windows.all else ()
        blockers: list[Obstacle] = []

        def is_allowed(place: int) -> bool:
            if only is not None and place not in only:
                return False
            blocker = self.blocker(place, self.index.on(place, shape), ends_by_at)
            if blocker is not None:
                blockers.append(blocker)
            return blocker is None

        place, lacking = self.index.best(shape, is_allowed, centre, closed)
        return place, lacking, min(blockers, key=lambda kept: kept.order, default=None)

    def _closed(self, uses: Uses, ends_by_at: float) -> Collection[str]:
        """Centres that a window keeps as a whole and where no other obstacle comes before it."""
        found = self.windows.closed(uses, self.now, ends_by_at)
        for kept in self.reserved if found else ():
            centre = self.index.nodes[kept.place].centre
            if centre in found and kept.order < found[centre].order:
                del found[centre]
        return found

    def start(self, place: int, job_id: str, shape: Shape, ends_by_at: float, sign: int = -1) -> None:
        """Takes what a job started now uses of a node until its end, or gives it back (sign 1)."""
        for kept in self._at.get(place, ()):
            if kept.start_at < ends_by_at:
                shift(kept.spare, shape.amounts, sign)
        if place in self.windows.parted:
            holder = (ends_by_at, job_id, shape.amounts, shape.uses)
            (self.holders.add if sign < 0 else self.holders.remove)(place, holder)

    def reserve(self, job_id: str, shape: Shape, time_limit_s: float, ends: Iterable[End]) -> Reserved | None:
        """Keeps the earliest start for a job that cannot start now; None when no node will ever have room.

        ends: of all that runs, in order of (end, place). An end that is past counts as now: the job is being stopped.
        """
        index = self.index
        candidates: dict[int, bool] = {}
        freed: dict[int, dict[str, int]] = {}
        times = iter(self.times(ends))
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
            asked = index.on(place, shape)
            if fits(asked.amounts, free) and self.room(place, asked, free, end_at, end_at + time_limit_s):
                for same in times:
                    if same[:2] != (end_at, place):
                        break
                    shift(free, same[2], 1)
                until = end_at + time_limit_s
                return self.keep(Reserved(job_id, place, end_at, until, asked.amounts, free, shape.uses))
        return None

    def times(self, ends: Iterable[End]) -> Iterable[tuple[float, int, Amounts]]:
        """Ends of running jobs with what they give back, and of reservations and windows (giving nothing), in order."""
        running, now = iter(ends), self.now
        overdue: list[tuple[float, int, Amounts]] = []
        following: list[tuple[float, int, Amounts]] = []
        for end_at, place, _job_id, shape in running:
            if end_at > now:
                following.append((end_at, place, shape.amounts))
                break
            overdue.append((now, place, shape.amounts))
        reserved: list[tuple[float, int, Amounts]] = [(kept.end_at, kept.place, ()) for kept in self.reserved]
        for place, here in self.windows.at.items():
            reserved += [(kept.window.end_at, place, ()) for kept in here if kept.window.end_at > now]
        reserved.sort()
        later = ((end_at, place, shape.amounts) for end_at, place, _job_id, shape in running)
        return chain(
            sorted(overdue, key=itemgetter(1)),
            merge(chain(following, later), reserved, key=_when) if reserved else chain(following, later),
        )

    def room(
        self, place: int, shape: Shape, free: Mapping[str, int], start_at: float, end_at: float, most: int = 1
    ) -> int:
        """How often a job fits from one time to another beside the reservations and windows, at most `most` times.

        shape: what it takes on that node. free: what running jobs leave at the start.
        """
        amounts, kept_here = shape.amounts, self._at.get(place, ())
        if self.windows.all and self.windows.closing(place, shape.uses, start_at, end_at) is not None:
            return 0
        if place in self.windows.parted:
            begins = [kept.start_at for kept in kept_here]
            begins += [kept.window.start_at for kept in self.windows.at[place]]
            for at in [start_at, *(begin for begin in begins if start_at < begin < end_at)]:
                most = members(amounts, self.left(place, shape.uses, at)[0], most)
            return most
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
