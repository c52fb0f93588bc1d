"""What jobs come with, learnt from those that have come."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Popular

FIRST_LOOK, LONGEST_LOOK = 16, 8_192


class Popularity:
    """Counts demands as jobs come; what is popular is told anew whenever twice as many have come.

    From `LONGEST_LOOK` jobs on it is told each time so many more have come, and what came before counts half then.
    Memory is left out, as nothing that asks for popularity looks at it.
    """

    def __init__(self) -> None:
        self._seen: Counter[Resources] = Counter()
        self._come, self._look = 0, FIRST_LOOK

    def comes(self, demand: Resources) -> tuple[Popular, ...] | None:
        """A job has come. What is popular when it is time to look anew, else None."""
        self._seen[replace(demand, memory_mb=0)] += 2
        self._come += 1
        if self._come < self._look:
            return None
        found = tuple(Popular(known, float(times)) for known, times in self._seen.items())
        if self._look < LONGEST_LOOK:
            self._look *= 2
        else:
            self._come = 0
            self._seen = Counter({known: times // 2 for known, times in self._seen.items() if times > 1})
        return found
