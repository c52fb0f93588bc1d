"""Windows in the simple plan: whom they are for, and what they keep of a node from all others.

Word for word after the specification of `windows.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Node, QueuedJob, RunningJob, Snapshot, Window

Amounts = dict[str, int]


def amounts(demand: Resources) -> Amounts:
    """Whole units by name."""
    devices = {kind: demand.share or 1000 * number for kind, number in demand.accelerators}
    every = {"cores": demand.milli_cores, "memory_mb": demand.memory_mb, **devices}
    return {name: amount for name, amount in every.items() if amount}


@dataclass
class Held:
    """Something on a node from a time to a time."""

    job_id: str
    tenant: str
    node: str
    amounts: Amounts
    starts: float
    ends: float
    uses: tuple[str, ...] = ()


class SimpleWindows:
    """What stands and runs, as far as windows ask."""

    snapshot: Snapshot
    now: float
    running: list[Held]
    reserved: list[Held]

    def uses(self, job: QueuedJob | RunningJob) -> tuple[str, ...]:
        """The windows that are for a job."""
        return tuple(
            sorted(w.id for w in self.snapshot.windows if job.tenant in w.tenants or job.priority == w.priority)
        )

    def windows_on(self, node: Node) -> list[tuple[Window, Resources | None]]:
        """The windows on a node with what they keep (None: all of it), by start and id."""
        found = []
        for window in sorted(self.snapshot.windows, key=lambda item: (item.start_at, item.id)):
            if window.centre == node.centre:
                found += [(window, part) for name, part in window.nodes or ((node.id, None),) if name == node.id]
        return found

    def is_shut(self, node: Node, uses: tuple[str, ...], at: float) -> bool:
        """Whether a window of others keeps the whole node at a time."""
        here = [w for w, part in self.windows_on(node) if part is None and w.id not in uses]
        return any(w.start_at <= at < w.end_at for w in here)

    def still_kept(self, node: Node, uses: tuple[str, ...], at: float | None) -> dict[str, Amounts]:
        """What windows of others keep of a node beyond what the jobs that they are for hold there."""
        holders = [h for h in self.running if h.node == node.id and (at is None or h.ends > at)]
        if at is not None:
            holders += [h for h in self.reserved if h.node == node.id and h.starts <= at < h.ends]
        rest = [(h.uses, dict(h.amounts)) for h in sorted(holders, key=lambda held: held.uses)]
        time, found = self.now if at is None else at, {}
        for window, part in self.windows_on(node):
            if part is None or not window.start_at <= time < window.end_at:
                continue
            left = amounts(part)
            for names, held in rest:
                for name in left if window.id in names else ():
                    taken = min(left[name], held.get(name, 0))
                    left[name], held[name] = left[name] - taken, held.get(name, 0) - taken
            if window.id not in uses and any(left.values()):
                found[window.id] = left
        return found
