"""How many attempts of a kind end in a second, by those that have ended lately."""

from __future__ import annotations

from collections import Counter, deque

from compute_scheduler.domain.resources import Resources

Kind = tuple[str, Resources, str]
"""Tenant, demand, node: attempts that are alike."""
# Work handed out ahead is done within about this time. It has to be longer than the way of a job from its start to the
# word of its end, else less and less is on that way.
AHEAD_S = 1.0
# At the beginning a second has seen little, so the pace of its last third counts when it is higher: else work grows
# only by as much as has been on the way, once each time that it takes.
SHORTLY_S = AHEAD_S / 3


class Pace:
    """Ends by kind within the last second, and within its last third; false when there are none."""

    def __init__(self) -> None:
        self._lately, self._shortly = _Ends(AHEAD_S), _Ends(SHORTLY_S)

    def __bool__(self) -> bool:
        return bool(self._lately.counts)

    def ended(self, kind: Kind, clock: float) -> None:
        """One has ended. clock: seconds that never step back."""
        self._lately.add(kind, clock)
        self._shortly.add(kind, clock)

    def forget(self, clock: float) -> None:
        """Leaves out what has become too long ago."""
        self._lately.forget(clock)
        self._shortly.forget(clock)

    def in_a_second(self) -> dict[Kind, int]:
        """How many end in a second, by kind."""
        times = round(AHEAD_S / SHORTLY_S)
        shortly = self._shortly.counts
        return {kind: max(count, times * shortly[kind]) for kind, count in self._lately.counts.items()}


class _Ends:
    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._order: deque[tuple[float, Kind]] = deque()
        self.counts: Counter[Kind] = Counter()

    def add(self, kind: Kind, clock: float) -> None:
        self._order.append((clock, kind))
        self.counts[kind] += 1

    def forget(self, clock: float) -> None:
        while self._order and self._order[0][0] < clock - self._within_s:
            kind = self._order.popleft()[1]
            self.counts[kind] -= 1
            if not self.counts[kind]:
                del self.counts[kind]
