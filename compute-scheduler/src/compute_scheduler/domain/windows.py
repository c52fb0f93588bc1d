"""Windows: capacity kept for some jobs, or from all, for a time. Reservations 资源预留 and maintenance 维护窗口.

Specification. A window that is open keeps, on each of its nodes, the whole node or amounts. To the jobs that it is for
it is not there. All others may not run on a node that is kept as a whole while the window is open; of a node of which
a part is kept, they may take what is left when also that part is taken, less what jobs that it is for hold there.
With several such windows on one node, each in order of start and id takes its part from what the jobs that it is for
hold there and what no window before it took; of several tenants or classes that may use the same windows first those
with the least tuple of them.

A job runs from its start until its time limit, so one that would still run when such a window opens waits, unless it
fits beside what is kept. What runs when a window opens keeps what it has until it ends. A job that may use windows
which are open now starts on one of their nodes if it can, so that what is kept is used before what all may use; a job
that names one waits for it to open, and is refused when it is over.

Shortcut, without effect on the answer: as jobs only end and windows only close, what is left to a job falls only when
another window or a reserved start begins. So only the start of the job and those times are looked at.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compute_scheduler.domain.shapes import Amounts, amounts_of
from compute_scheduler.domain.snapshot import Node, Priority, Window

Uses = tuple[str, ...]
Holder = tuple[float, str, Amounts, Uses]
"""When a job ends, its id, what it holds on a node, the windows that are for it."""


@dataclass(eq=False, slots=True)
class Kept:
    """A window on one node; amounts: what it keeps there, None: the whole node."""

    window: Window
    amounts: Amounts | None

    @property
    def order(self) -> tuple[float, str]:
        """The earlier start first."""
        return self.window.order


class Windows:
    """The windows of a network by node; nodes are named by their place in order of id."""

    def __init__(self, windows: Iterable[Window], nodes: Sequence[Node]) -> None:
        self.all = sorted(windows, key=lambda window: window.order)
        self.by_id = {window.id: window for window in self.all}
        self.at: dict[int, list[Kept]] = {}
        # Places of which a window keeps a part: only there it matters who runs.
        self.parted: set[int] = set()
        self._has_whole = any(not window.nodes for window in self.all)
        self._uses: dict[tuple[str, Priority], Uses] = {}
        if self.all:
            self._set(nodes)

    def _set(self, nodes: Sequence[Node]) -> None:
        place_of = {node.id: place for place, node in enumerate(nodes)}
        for window in self.all:
            kept: list[tuple[int, Amounts | None]] = []
            if window.nodes:
                told = [(place_of[node], part) for node, part in window.nodes if node in place_of]
                kept += [(place, None if part is None else amounts_of(part)) for place, part in told]
                kept = [item for item in kept if nodes[item[0]].centre == window.centre]
            else:
                kept += [(place, None) for place, node in enumerate(nodes) if node.centre == window.centre]
            for place, amounts in kept:
                self.at.setdefault(place, []).append(Kept(window, amounts))
                if amounts is not None:
                    self.parted.add(place)

    def uses(self, tenant: str, priority: Priority) -> Uses:
        """Ids of the windows that are for jobs of a tenant and class, in order of id."""
        if not self.all:
            return ()
        known = self._uses.get((tenant, priority))
        if known is None:
            found = sorted(window.id for window in self.all if window.is_for(tenant, priority))
            known = self._uses[tenant, priority] = tuple(found)
        return known

    def closed(self, uses: Uses, start_at: float, end_at: float) -> dict[str, Kept]:
        """Windows that keep a whole centre at any time from one to another before any other does a part, by centre."""
        found: dict[str, Kept | None] = {}
        for window in self.all if self._has_whole else ():
            if window.centre not in found and window.overlaps(start_at, end_at) and window.id not in uses:
                found[window.centre] = None if window.nodes else Kept(window, None)
        return {centre: kept for centre, kept in found.items() if kept is not None}

    def closing(self, place: int, uses: Uses, start_at: float, end_at: float) -> Kept | None:
        """The first window that keeps a whole node at any time from one to another."""
        for kept in self.at.get(place, ()):
            if kept.amounts is None and kept.window.overlaps(start_at, end_at) and kept.window.id not in uses:
                return kept
        return None

    def own(self, uses: Uses, now: float) -> set[int]:
        """The places on which a window that is open now is for jobs with these uses."""
        if not uses:
            return set()
        mine = {name for name in uses if self.by_id[name].is_open(now)}
        if not mine:
            return set()
        return {place for place, here in self.at.items() if any(kept.window.id in mine for kept in here)}

    def touches(self, centre: str, uses: Uses, start_at: float, end_at: float) -> bool:
        """Whether any window that is not for these jobs is open at a centre from one time to another."""
        return any(
            window.centre == centre and window.overlaps(start_at, end_at) and window.id not in uses
            for window in self.all
        )

    def kept(
        self, place: int, uses: Uses, at: float, held: Mapping[Uses, Mapping[str, int]]
    ) -> dict[str, dict[str, int]]:
        """What open windows still keep of a node from jobs with these uses, by window; amounts of zero are left out.

        held: what jobs hold there at that time, by the windows that are for them.
        """
        rest = {names: dict(held[names]) for names in sorted(held) if names}
        found: dict[str, dict[str, int]] = {}
        for kept in self.at.get(place, ()):
            window = kept.window
            if kept.amounts is None or not window.is_open(at):
                continue
            left = dict(kept.amounts)
            for names, amounts in rest.items():
                if window.id in names:
                    for name in left:
                        taken = min(left[name], amounts.get(name, 0))
                        left[name] -= taken
                        amounts[name] = amounts.get(name, 0) - taken
            if window.id not in uses and any(left.values()):
                found[window.id] = {name: amount for name, amount in left.items() if amount}
        return found


class Holders:
    """What jobs hold on the nodes of which windows keep a part."""

    def __init__(self) -> None:
        self._at: dict[int, list[Holder]] = {}

    def add(self, place: int, holder: Holder) -> None:
        """A job holds there until it ends."""
        insort(self._at.setdefault(place, []), holder)

    def remove(self, place: int, holder: Holder) -> None:
        """It does not."""
        self._at[place].remove(holder)

    def at(self, place: int) -> Sequence[Holder]:
        """Those on a node in order of their ends."""
        return self._at.get(place, ())
