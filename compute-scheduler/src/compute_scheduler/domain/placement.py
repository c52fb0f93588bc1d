"""Where a job goes: best fit over all nodes that take new jobs.

Specification. Of the nodes that are up, in an open centre where the job may run, have enough left of everything and are
allowed (a reserved start may forbid it), take the least by: not the job's home, cost of the centre, free accelerators,
free cores, free memory, node id. What a job asks for is the same on every node, so the fullest node is the one that it
leaves fullest; free accelerators come first so that jobs without them do not strand accelerators.

Shortcuts, each without effect on the choice:
- Nodes of one centre with the same free accelerators stand in one bucket, sorted by free cores, memory and id. A
  bucket is looked at whole or not at all, and within it a binary search passes over nodes with too few cores. The
  first node of a bucket that fits is its least one.
- Buckets are ordered by cost and free accelerators once per set of buckets; all later buckets are worse, so the search
  ends after the first rank that gives a node. Buckets that ran empty are kept, as the set then seldom changes, until
  they are many: a node with hundreds of accelerators leaves one behind with each step.
- In one plan free amounts only fall, so a node of a bucket that was too small stays so. A shape that found nothing is
  not tried again (`plan.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from compute_scheduler.domain.shapes import Amounts, Shape
from compute_scheduler.domain.snapshot import Centre, Node

Lacking = Literal["accelerators", "cores", "memory_mb", "reserved"]
STEPS: dict[Lacking, int] = {"accelerators": 0, "cores": 1, "memory_mb": 2, "reserved": 3}
SPARE_BUCKETS = 64
_Entry = tuple[int, int, int]


@dataclass(eq=False, slots=True)
class _Bucket:
    """Nodes of one centre with the same free accelerators: (free thousandths of cores, free memory, node)."""

    centre: str
    free: Amounts
    rank: tuple[float, int]
    entries: list[_Entry] = field(default_factory=list)
    moves: dict[tuple[Amounts, int], _Bucket] = field(default_factory=dict)
    is_listed: bool = True


class NodeIndex:
    """Free amounts of all nodes, and the search for the best one. Nodes are named by their place in order of id."""

    def __init__(self, nodes: Iterable[Node], centres: Mapping[str, Centre]) -> None:
        self.nodes = sorted(nodes, key=lambda node: node.id)
        self.place = {node.id: place for place, node in enumerate(self.nodes)}
        self.open = [_takes_jobs(node, centres) for node in self.nodes]
        self.cores = [node.capacity.milli_cores for node in self.nodes]
        self.memory = [node.capacity.memory_mb for node in self.nodes]
        self._centres = centres
        self._buckets: dict[tuple[str, Amounts], _Bucket] = {}
        self._ranks: dict[tuple[Shape, str | None], list[list[_Bucket]]] = {}
        self.bucket = [self._bucket_of(node.centre, node.capacity.accelerators) for node in self.nodes]
        for place, bucket in enumerate(self.bucket):
            if self.open[place]:
                bucket.entries.append((self.cores[place], self.memory[place], place))
        for bucket in self._buckets.values():
            bucket.entries.sort()

    def _bucket_of(self, centre: str, free: Amounts) -> _Bucket:
        bucket = self._buckets.get((centre, free))
        if bucket is None:
            if len(self._buckets) >= SPARE_BUCKETS + len(self.nodes):
                self._forget_empty()
            known = self._centres.get(centre)
            rank = (known.cost if known else 0.0, sum(number for _, number in free))
            bucket = self._buckets[centre, free] = _Bucket(centre, free, rank)
            self._ranks.clear()
        return bucket

    def _forget_empty(self) -> None:
        for key, bucket in [*self._buckets.items()]:
            if not bucket.entries:
                bucket.is_listed = False
                del self._buckets[key]

    def free(self, place: int) -> dict[str, int]:
        """What is left on a node, by resource name in whole units."""
        return {"cores": self.cores[place], "memory_mb": self.memory[place], **dict(self.bucket[place].free)}

    def change(self, place: int, shape: Shape, sign: int) -> None:
        """Takes the shape's amounts from a node (sign -1) or gives them back (1)."""
        bucket = self.bucket[place]
        after = bucket
        if shape.accelerators:
            move = (shape.accelerators, sign)
            known = bucket.moves.get(move)
            if known is None or not known.is_listed:
                free = dict(bucket.free)
                for kind, number in shape.accelerators:
                    free[kind] = free.get(kind, 0) + sign * number
                left = tuple(sorted((kind, number) for kind, number in free.items() if number))
                known = bucket.moves[move] = self._bucket_of(bucket.centre, left)
            after = known
        cores = self.cores[place] + sign * shape.milli_cores
        memory = self.memory[place] + sign * shape.memory_mb
        if self.open[place]:
            entries = bucket.entries
            del entries[bisect_left(entries, (self.cores[place], self.memory[place], place))]
            insort(after.entries, (cores, memory, place))
        self.cores[place], self.memory[place], self.bucket[place] = cores, memory, after

    def best(
        self, shape: Shape, allowed: Callable[[int], bool] | None, centre: str | None = None
    ) -> tuple[int | None, Lacking]:
        """The best node for a shape, or None and what turned the last nodes away.

        allowed: asked for each node that would fit; None: every node is allowed. centre: only its nodes.
        lacking: `accelerators` when no node has enough of them free, else `cores` when none of those has enough cores,
        else `memory_mb`; `reserved` when a node would fit but is not allowed.
        """
        lacking: Lacking = "accelerators"
        cores, memory = shape.milli_cores, shape.memory_mb
        ranks = self._ranks.get((shape, centre))
        for rank in self._rank(shape, centre) if ranks is None else ranks:
            least: _Entry | None = None
            for bucket in rank:
                entry, step = _first(bucket.entries, cores, memory, allowed)
                if STEPS[step] > STEPS[lacking]:
                    lacking = step
                if entry is not None and (least is None or entry < least):
                    least = entry
            if least is not None:
                return least[2], lacking
        return None, lacking

    def _rank(self, shape: Shape, only: str | None) -> list[list[_Bucket]]:
        """Buckets with enough accelerators in the shape's centres, home and least rank first, equal ranks together."""
        ranks: dict[tuple[bool, float, int], list[_Bucket]] = {}
        for (centre, free), bucket in self._buckets.items():
            if (shape.centres and centre not in shape.centres) or only not in (None, centre):
                continue
            have = dict(free)
            if all(have.get(kind, 0) >= number for kind, number in shape.accelerators):
                ranks.setdefault((centre != shape.home, *bucket.rank), []).append(bucket)
        found = self._ranks[shape, only] = [ranks[rank] for rank in sorted(ranks)]
        return found


def _first(
    entries: list[_Entry], cores: int, memory: int, allowed: Callable[[int], bool] | None
) -> tuple[_Entry | None, Lacking]:
    """The first node of a bucket that fits and is allowed, and how far the search came."""
    at = bisect_left(entries, (cores,))
    step: Lacking = "memory_mb" if at < len(entries) else "cores" if entries else "accelerators"
    for position in range(at, len(entries)):
        entry = entries[position]
        if entry[1] >= memory:
            if allowed is None or allowed(entry[2]):
                return entry, step
            step = "reserved"
    return None, step


def _takes_jobs(node: Node, centres: Mapping[str, Centre]) -> bool:
    centre = centres.get(node.centre)
    return node.state == "up" and centre is not None and centre.state == "open"
