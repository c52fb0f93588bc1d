"""Usage counted in memory: what is settled to the database every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

# (day, organisation, consumer, service, status class)
UsageKey = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Usage:
    """Requests, bytes and milliseconds of one key."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    milliseconds: float = 0.0


class Meter:
    """Counts usage and knows each organisation's month so far; safe between the event loop and the settling thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[UsageKey, Usage] = {}
        self._settled: dict[tuple[str, str], tuple[int, int]] = {}
        self._unsettled: dict[tuple[str, str], list[int]] = {}
        self._under_way: dict[str, int] = {}

    def begin(self, organisation: str) -> None:
        """A request was let in: it uses up quota from now on, not only when it is counted at its end."""
        with self._lock:
            self._under_way[organisation] = self._under_way.get(organisation, 0) + 1

    def end(self, key: UsageKey, bytes_in: int, bytes_out: int, milliseconds: float) -> None:
        """A request that was let in is over, and counted."""
        with self._lock:
            self._count(key, bytes_in, bytes_out, milliseconds)
            left = self._under_way[key[1]] - 1
            if left:
                self._under_way[key[1]] = left
            else:
                del self._under_way[key[1]]

    def count(self, key: UsageKey, bytes_in: int, bytes_out: int, milliseconds: float) -> None:
        """Counts one request that was not let in."""
        with self._lock:
            self._count(key, bytes_in, bytes_out, milliseconds)

    def _count(self, key: UsageKey, bytes_in: int, bytes_out: int, milliseconds: float) -> None:
        usage = self._open.get(key)
        if usage is None:
            usage = self._open[key] = Usage()
        usage.requests += 1
        usage.bytes_in += bytes_in
        usage.bytes_out += bytes_out
        usage.milliseconds += milliseconds
        month = self._unsettled.get((key[1], key[0][:7]))
        if month is None:
            month = self._unsettled[key[1], key[0][:7]] = [0, 0]
        month[0] += 1
        month[1] += bytes_in + bytes_out

    def take(self) -> dict[UsageKey, Usage]:
        """Hands over what was counted since the last time."""
        with self._lock:
            taken, self._open = self._open, {}
            return taken

    def give_back(self, taken: Mapping[UsageKey, Usage]) -> None:
        """Puts back what could not be settled."""
        with self._lock:
            for key, usage in taken.items():
                kept = self._open.setdefault(key, Usage())
                kept.requests += usage.requests
                kept.bytes_in += usage.bytes_in
                kept.bytes_out += usage.bytes_out
                kept.milliseconds += usage.milliseconds

    def settled(self, months: Mapping[tuple[str, str], tuple[int, int]], taken: Mapping[UsageKey, Usage]) -> None:
        """The database's totals by (organisation, month), which now hold what was taken."""
        with self._lock:
            self._settled = dict(months)
            for key, usage in taken.items():
                month = self._unsettled.get((key[1], key[0][:7]))
                if month is not None:
                    month[0] -= usage.requests
                    month[1] -= usage.bytes_in + usage.bytes_out

    def month(self, organisation: str, month: str) -> tuple[int, int]:
        """(requests, bytes) of an organisation in a month: settled, open and under way."""
        with self._lock:
            done = self._settled.get((organisation, month), (0, 0))
            more = self._unsettled.get((organisation, month), [0, 0])
            return done[0] + more[0] + self._under_way.get(organisation, 0), done[1] + more[1]
