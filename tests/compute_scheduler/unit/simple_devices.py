"""Devices in the simple plan: what each has left, which one a job takes a part of, and what a node would waste.

Word for word after the specifications of `placement.py` and `futures.py`; of the product it uses the drawn futures
alone (which have tests of their own).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from compute_scheduler.domain import futures, placement
from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Node, QueuedJob, RunningJob, Snapshot

Device = tuple[str, int]
Lefts = dict[str, list[int]]


def on(demand: Resources, node: Node, gang: int = 1) -> Resources:
    """What is taken on a node: of several kinds the first of which it has enough when empty, else any."""
    if len(demand.accelerators) != 1 or "|" not in demand.accelerators[0][0] or gang > 1:
        return demand
    (kinds, number), have = demand.accelerators[0], dict(node.capacity.accelerators)
    usable = [kind for kind in kinds.split("|") if have.get(kind, 0) >= number]
    return replace(demand, accelerators=((usable[0], number),)) if usable else demand


class Devices:
    """Devices of all nodes under what runs; futures: the imagined ones, empty for best fit."""

    def __init__(self, snapshot: Snapshot, by: str) -> None:
        self.whole: dict[str, dict[str, int]] = {node.id: dict(node.capacity.accelerators) for node in snapshot.nodes}
        self.shared: dict[str, dict[Device, int]] = {node.id: {} for node in snapshot.nodes}
        self.futures = futures.draw(snapshot.popular) if by == "fragmentation" else []
        nodes = {node.id: node for node in snapshot.nodes}
        running = sorted(snapshot.running, key=lambda job: (not job.devices, -job.demand.share, job.started_at, job.id))
        drawn, self.futures = self.futures, []
        for job in running:
            for number, name in enumerate(job.nodes):
                if name in nodes:
                    device = self._told(job, number, nodes[name])
                    self.take(nodes[name], on(job.demand, nodes[name], len(job.nodes)), 0, device)
        self.futures = drawn

    def _told(self, job: RunningJob, number: int, node: Node) -> Device | None:
        if not job.devices or job.devices[number] is None:
            return None
        return on(job.demand, node).accelerators[0][0], int(job.devices[number] or 0)

    def fits(self, node: Node, demand: Resources) -> bool:
        """Whether there are enough devices, whole or with enough left."""
        whole = self.whole[node.id]
        if demand.share:
            kind = demand.accelerators[0][0]
            left = [left for (name, _), left in self.shared[node.id].items() if name == kind]
            return whole.get(kind, 0) > 0 or max(left, default=0) >= demand.share
        return all(whole.get(kind, 0) >= number for kind, number in demand.accelerators)

    def take(self, node: Node, demand: Resources, cores: int, device: Device | None = None) -> None:
        """Takes what a job asks for. cores: free on the node before, thousandths."""
        whole, shared = self.whole[node.id], self.shared[node.id]
        if not demand.share:
            for kind, number in demand.accelerators:
                whole[kind] = whole.get(kind, 0) - number
            return
        if device is None:
            device = self.growth(node, demand, cores)[1]
        if device not in shared:
            shared[device] = 1000
            whole[device[0]] = whole.get(device[0], 0) - 1
        shared[device] -= demand.share

    def lefts(self, node: Node) -> Lefts:
        """What is left of devices that have something left, by kind."""
        found: Lefts = {kind: [1000] * number for kind, number in self.whole[node.id].items() if number > 0}
        for (kind, _), left in self.shared[node.id].items():
            if left > 0:
                found.setdefault(kind, []).append(left)
        return {kind: sorted(found[kind]) for kind in sorted(found)}

    def growth(self, node: Node, demand: Resources, cores: int) -> tuple[int, Device]:
        """By how much the waste of the node grows, and the device of which a part is taken."""
        before, lefts = self.waste(cores, self.lefts(node)), self.lefts(node)
        cores -= demand.milli_cores
        if not demand.share:
            for kind, number in demand.accelerators:
                lefts[kind] = lefts[kind][: len(lefts[kind]) - number]
            return self.waste(cores, lefts) - before, ("", 0)
        kind = demand.accelerators[0][0]
        mine = {number: left for (name, number), left in self.shared[node.id].items() if name == kind}
        fresh = min(number for number in range(len(mine) + 1) if number not in mine)
        options = [(left, number) for number, left in mine.items() if left >= demand.share]
        if self.whole[node.id].get(kind, 0) > 0 or not options:
            options.append((1000, fresh))
        ways = []
        for left, number in options:
            rest = list(lefts.get(kind, []))
            if left in rest:
                rest.remove(left)
            after = {**lefts, kind: sorted([*rest, left - demand.share])}
            ways.append((self.waste(cores, after) - before, left, number))
        best = min(ways)
        return best[0], (kind, best[2])

    def waste(self, cores: int, lefts: Lefts) -> int:
        """The soft minimum over the futures of what is left of the devices."""
        have = {kind: [left for left in devices if left] for kind, devices in lefts.items()}
        have = {kind: devices for kind, devices in have.items() if devices}
        if not self.futures or not have:
            return 0
        ends = [math.exp(-4.0 * self.left_by(cores // 1000 * 1000, have, future) / 1000) for future in self.futures]
        return round(-1000 / 4.0 * math.log(sum(ends) / len(ends)))

    def left_by(self, cores: int, lefts: Lefts, future: list[Resources]) -> int:
        """What one future leaves."""
        have = {kind: sorted(devices) for kind, devices in lefts.items()}
        for demand in future:
            if demand.milli_cores > cores or len(demand.accelerators) > 1:
                continue
            for names, number in demand.accelerators:
                kind = next((kind for kind in sorted(lefts) if kind in names.split("|")), "")
                least = demand.share or 1000
                enough = [left for left in have.get(kind, []) if left >= least][:number]
                if len(enough) < number:
                    break
                for left in enough:
                    have[kind].remove(left)
                    have[kind] = sorted([*have[kind], left - least])
            else:
                cores -= demand.milli_cores
        return sum(sum(devices) for devices in have.values())

    def best(self, fitting: list[Any], job: QueuedJob) -> Node:
        """Of nodes with (home, cost, whole devices, cores, memory, number) the one of the placement."""
        fitting.sort(key=lambda item: item[:-1])
        if not self.futures:
            return fitting[0][-1]  # type: ignore[no-any-return]
        seen: list[object] = []
        ways = []
        for number, item in enumerate(fitting):
            node, cores = item[-1], item[3]
            alike = (cores // 1000, self.lefts(node))
            if item[:2] == fitting[0][:2] and alike not in seen and len(seen) < placement.CANDIDATES:
                seen.append(alike)
                ways.append((self.growth(node, on(job.demand, node, job.gang), cores)[0], number, node))
        return min(ways, key=lambda way: way[:2])[-1]


class AmpleDevices(Devices):
    """As many devices as anybody asks for: where only amounts count."""

    def fits(self, node: Node, demand: Resources) -> bool:
        """Always."""
        return True
