"""Which attempts may claim and begin on this machine: as many as it has room for, in the order in which they came.

The scheduler may hand out a little more than fits, where jobs end faster than word of it travels. What has no room yet
waits here unclaimed, so it may still be taken away. While jobs are short a few claim before there is room, so that one
begins in the moment in which another ends; what has waited too long is given back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# As many may claim ahead as short jobs have ended within this time, or as would end within it at the pace of those that
# run now, but at most eight for each that has: so long one waits for its start, about. It has to be longer than a claim
# and its grant take.
AHEAD_S = 0.5
FOR_EACH = 8
# What has not begun after this time goes back to the queue: jobs have become longer than those before them.
PATIENCE_S = 2.0
Amounts = dict[str, float]


def amounts(resources: Mapping[str, Any]) -> Amounts:
    """What `resources` of an order names, in one flat table; of each device that it was given as much as it takes."""
    flat = {"cores": float(resources["cores"]), "memory_mb": float(resources["memory_mb"])}
    for kind, count in resources.get("accelerators", {}).items():
        flat[f"accelerator {kind}"] = float(count)
        flat |= {f"accelerator {kind} {n}": min(1.0, count) for n in resources.get("devices", {}).get(kind, ())}
    return flat


def capacity(node: Mapping[str, Any]) -> Amounts:
    """The same for what a node has: all of its devices, and one of each."""
    return amounts({**node, "devices": {kind: range(count) for kind, count in node["accelerators"].items()}})


@dataclass
class _Entry:
    """An attempt; is_ahead: it may claim although there is no room for it yet."""

    wanted: Amounts
    stage: str = "waiting"
    is_ahead: bool = False
    since: float = field(default_factory=time.monotonic)


class Gate:
    """Lets attempts that were granted begin, first come, first served, as many at a time as there is room for.

    It stands in the supervisor: so the next one begins when another has ended, and not when its agent has heard of it.
    """

    def __init__(self) -> None:
        self.capacity: Amounts = {}
        self._waiting: dict[str, Amounts] = {}
        self._inside: dict[str, Amounts] = {}
        self._taken: Amounts = {}

    def ask(self, attempt: str, wanted: Amounts) -> None:
        """An attempt may begin as soon as there is room; to ask again changes nothing."""
        if attempt not in self._inside:
            self._waiting.setdefault(attempt, wanted)

    def enter(self) -> str | None:
        """The next one that begins now, None when none waits or there is no room."""
        for attempt, wanted in self._waiting.items():
            if not _fits(wanted, self.capacity, self._taken):
                return None
            self._inside[attempt] = self._waiting.pop(attempt)
            _add(self._taken, wanted, 1)
            return attempt
        return None

    def leave(self, attempt: str) -> None:
        """One has ended, or did not begin after all."""
        wanted = self._inside.pop(attempt, None)
        if wanted is not None:
            _add(self._taken, wanted, -1)


class Room:
    """Safe among threads. capacity: what the machine has, as `amounts`. Answers name attempts; the caller acts on them.

    Stages: waiting, claiming, ready (granted, but there is no room: it waits at the supervisor's gate), running. They
    are as the supervisor has told, so one that is ready here may have begun.
    """

    def __init__(self, capacity: Callable[[], Amounts]) -> None:
        self._capacity = capacity
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._waiting: deque[str] = deque()
        self._ready: deque[str] = deque()
        self._running: Amounts = {}
        self._beside = 0  # how many run
        self._bound: Amounts = {}  # by what claims or is ready
        self._claimed_ahead = 0
        self._ends: deque[tuple[float, float]] = deque()  # of short jobs: when, and how long they ran
        self._ran_s = 0.0  # of those together

    def ask(self, attempt: str, wanted: Amounts) -> list[str]:
        """An attempt would like to claim; returns those that now may."""
        with self._guard:
            known = self._entries.get(attempt)
            if known is not None:
                return [attempt] if known.stage != "waiting" else []
            self._entries[attempt] = _Entry(wanted)
            self._waiting.append(attempt)
            return self._admit()

    def begin(self, attempt: str, wanted: Amounts) -> bool:
        """An attempt's claim was granted; returns whether there is room for it now."""
        with self._guard:
            entry = self._entries.get(attempt)
            if entry is None:  # nobody has asked, so nobody shall wait
                entry = self._entries[attempt] = _Entry(wanted)
                self._move(attempt, entry, "running")
            if entry.stage in ("running", "ready"):
                return entry.stage == "running"
            self._move(attempt, entry, "ready")
            return attempt in self._start()

    def restore(self, attempt: str, wanted: Amounts) -> None:
        """An attempt has begun before this object was made."""
        with self._guard:
            self._move(attempt, self._entries.setdefault(attempt, _Entry(wanted)), "running")

    def leave(self, attempt: str, run_s: float | None = None) -> tuple[list[str], list[str]]:
        """An attempt has ended or is given up; returns (those for which there is room now, those that may now claim).

        run_s: how long it ran, when it did.
        """
        with self._guard:
            entry = self._entries.pop(attempt, None)
            if entry is None:
                return [], []
            self._move(attempt, entry, "gone")
            if run_s is not None and run_s < AHEAD_S:
                self._ends.append((time.monotonic(), run_s))
                self._ran_s += run_s
            return self._start(), self._admit()

    def late(self) -> list[str]:
        """Attempts that have waited too long, given up by this call."""
        with self._guard:
            before = time.monotonic() - PATIENCE_S
            found = [name for name in [*self._ready, *self._waiting] if self._entries[name].since < before]
            for name in found:
                self._move(name, self._entries.pop(name), "gone")
            return found

    def _move(self, attempt: str, entry: _Entry, stage: str) -> None:
        queues = {"waiting": self._waiting, "ready": self._ready}
        if entry.stage in queues and attempt in queues[entry.stage]:
            queues[entry.stage].remove(attempt)
        totals = {"claiming": self._bound, "ready": self._bound, "running": self._running}
        if entry.stage in totals:
            _add(totals[entry.stage], entry.wanted, -1)
        if stage in totals:
            _add(totals[stage], entry.wanted, 1)
        self._beside += (stage == "running") - (entry.stage == "running")
        if stage in queues:
            queues[stage].append(attempt)
        if entry.is_ahead and stage not in ("claiming", "ready"):
            entry.is_ahead = False
            self._claimed_ahead -= 1
        entry.stage = stage

    def _start(self) -> list[str]:
        begun = []
        capacity = self._capacity()
        while self._ready:
            entry = self._entries[self._ready[0]]
            if not _fits(entry.wanted, capacity, self._running):
                break
            begun.append(self._ready[0])
            self._move(self._ready[0], entry, "running")
        return begun

    def _admit(self) -> list[str]:
        admitted = []
        capacity, ahead = self._capacity(), self._ahead()
        while self._waiting:
            attempt = self._waiting[0]
            entry = self._entries[attempt]
            if not _fits(entry.wanted, capacity, self._running, self._bound):
                if self._claimed_ahead >= ahead:
                    break
                entry.is_ahead = True
                self._claimed_ahead += 1
            self._move(attempt, entry, "claiming")
            admitted.append(attempt)
        return admitted

    def _ahead(self) -> int:
        before = time.monotonic() - AHEAD_S
        while self._ends and self._ends[0][0] < before:
            self._ran_s -= self._ends.popleft()[1]
        ended = len(self._ends)
        if not ended:
            return 0
        at_this_pace = AHEAD_S * max(self._beside, 1) * ended / max(self._ran_s, 0.001)
        return max(ended, int(min(FOR_EACH * ended, at_this_pace)))


def _add(total: Amounts, wanted: Amounts, sign: int) -> None:
    for name, amount in wanted.items():
        total[name] = total.get(name, 0.0) + sign * amount


def _fits(wanted: Amounts, capacity: Amounts, *taken: Amounts) -> bool:
    """Whether it fits beside what is taken; alone everything fits, so that nothing waits for ever."""
    if not any(amount > 1e-6 for each in taken for amount in each.values()):
        return True
    return all(
        sum(each.get(name, 0.0) for each in taken) + amount <= capacity.get(name, 0.0) + 1e-6
        for name, amount in wanted.items()
    )
