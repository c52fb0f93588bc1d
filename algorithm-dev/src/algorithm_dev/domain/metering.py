"""Calls counted in memory until they are settled to the database."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# (day, component, version, organisation, kind: call or run)
UsageKey = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Tally:
    """Calls, those that failed, rows given in, milliseconds of computing."""

    calls: int = 0
    failures: int = 0
    rows: int = 0
    milliseconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        return asdict(self)


class Meter:
    """Counts calls; safe between the event loop and the settling thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[UsageKey, Tally] = {}

    def count(self, key: UsageKey, rows: int, milliseconds: float, *, failed: bool = False) -> None:
        """Counts one call."""
        with self._lock:
            tally = self._open.get(key)
            if tally is None:
                tally = self._open[key] = Tally()
            tally.calls += 1
            tally.failures += failed
            tally.rows += rows
            tally.milliseconds += milliseconds

    def take(self) -> dict[UsageKey, Tally]:
        """Hands over what was counted since the last time."""
        with self._lock:
            taken, self._open = self._open, {}
            return taken

    def give_back(self, taken: Mapping[UsageKey, Tally]) -> None:
        """Puts back what could not be settled."""
        with self._lock:
            for key, tally in taken.items():
                kept = self._open.setdefault(key, Tally())
                kept.calls += tally.calls
                kept.failures += tally.failures
                kept.rows += tally.rows
                kept.milliseconds += tally.milliseconds
