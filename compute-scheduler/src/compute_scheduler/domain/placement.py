"""Where a job goes: the best node, and the best device for a part of one.

Specification. Of the nodes that are up, in an open centre where the job may run, have enough left of everything and are
allowed (a reserved start may forbid it), best fit takes the least by: not the job's home, cost of the centre, whole
free accelerators, free cores, free memory, node id. What a job asks for is the same on every node, so the fullest node
is the one that it leaves fullest; free accelerators come first so that jobs without them do not strand accelerators. A
job that takes any of several kinds takes on each node the first kind of which the node has enough when empty. A part of
an accelerator is taken of the one, shared already, that has least left and enough; else of a whole one.

The placement `fragmentation` looks at the first `CANDIDATES` of these nodes, among those with the same home and cost
as the first, that differ in whole free cores or in what their accelerators have left. It takes the one, and for a part
of an accelerator the device, whose waste (`futures.py`) grows least; of equal ones the first, and the device with least
left. So it can only choose otherwise where best fit leaves a choice, and home and cost go before.

Shortcuts, each without effect on the choice:
- Nodes of one centre with the same devices, as many of them whole and alike in the most that a shared one has left (in
  steps) stand in one bucket, sorted by free cores, memory and id. A bucket is looked at whole or not at all, and within
  it a binary search passes over nodes with too few cores. The first node of a bucket that fits is its least one.
- Buckets are ordered by cost and whole free accelerators once per set of buckets; all later buckets are worse, so the
  search ends after the first rank that gives a node. Buckets that ran empty are kept, as the set then seldom changes,
  until they are many: a node with hundreds of accelerators leaves one behind with each step.
- In one plan free amounts only fall, so a node of a bucket that was too small stays so. A shape that found nothing is
  not tried again (`plan.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import Literal

from compute_scheduler.domain.devices import (
    NO_PARTS,
    Parts,
    after_share,
    after_whole,
    lefts_of,
    most,
    numbered,
    sharing,
    shifted,
)
from compute_scheduler.domain.futures import MOST_KEPT, Futures, Lefts
from compute_scheduler.domain.resources import MILLI
from compute_scheduler.domain.shapes import Amounts, Shape
from compute_scheduler.domain.snapshot import Centre, Node

Lacking = Literal["accelerators", "cores", "memory_mb", "reserved"]
STEPS: dict[Lacking, int] = {"accelerators": 0, "cores": 1, "memory_mb": 2, "reserved": 3}
SPARE_BUCKETS = 64
CANDIDATES = 16
NEVER_LIMITS = 1 << 30
_Entry = tuple[int, int, int]


@dataclass(eq=False, slots=True)
class _Bucket:
    """Nodes of one centre alike in devices: (free thousandths of cores, free memory, node).

    capacity: their devices when empty; of nodes with one kind only the kind, with a number that never limits. whole:
    free ones. most: the most that a shared one has left.
    """

    centre: str
    capacity: Amounts
    whole: Amounts
    most: Amounts
    rank: tuple[float, int]
    entries: list[_Entry] = field(default_factory=list)
    moves: dict[tuple[Amounts, int], _Bucket] = field(default_factory=dict)
    is_listed: bool = True


@dataclass(eq=False, slots=True)
class _Ranks:
    """The buckets that hold a shape by home, cost and whole devices; upto: how many of all were looked at."""

    order: list[tuple[bool, float, int]] = field(default_factory=list)
    buckets: dict[tuple[bool, float, int], list[_Bucket]] = field(default_factory=dict)
    upto: int = 0


class NodeIndex:
    """Free amounts of all nodes, and the search for the best one. Nodes are named by their place in order of id."""

    def __init__(self, nodes: Iterable[Node], centres: Mapping[str, Centre]) -> None:
        self.nodes = sorted(nodes, key=lambda node: node.id)
        self.place = {node.id: place for place, node in enumerate(self.nodes)}
        self.open = [_takes_jobs(node, centres) for node in self.nodes]
        self.cores = [node.capacity.milli_cores for node in self.nodes]
        self.memory = [node.capacity.memory_mb for node in self.nodes]
        self.parts: dict[int, Parts] = {}
        self.futures: Futures | None = None
        self._centres = centres
        self._lefts: dict[int, Lefts] = {}
        self._buckets: dict[tuple[str, Amounts, Amounts, Amounts], _Bucket] = {}
        self._listed: list[_Bucket] = []
        self._ranks: dict[tuple[Shape, str | None], _Ranks] = {}
        self._on: dict[tuple[Shape, Amounts], Shape | None] = {}
        self.bucket = [
            self._bucket_of(node.centre, _models(node.capacity.accelerators), node.capacity.accelerators, ())
            for node in self.nodes
        ]
        for place, bucket in enumerate(self.bucket):
            if self.open[place]:
                bucket.entries.append((self.cores[place], self.memory[place], place))
        for bucket in self._buckets.values():
            bucket.entries.sort()

    def _bucket_of(self, centre: str, capacity: Amounts, whole: Amounts, most_left: Amounts) -> _Bucket:
        key = (centre, capacity, whole, most_left)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= SPARE_BUCKETS + len(self.nodes):
                self._forget_empty()
            known = self._centres.get(centre)
            rank = (known.cost if known else 0.0, sum(number for _, number in whole))
            bucket = self._buckets[key] = _Bucket(centre, capacity, whole, most_left, rank)
            self._listed.append(bucket)
        return bucket

    def _forget_empty(self) -> None:
        for key, bucket in [*self._buckets.items()]:
            if not bucket.entries:
                bucket.is_listed = False
                del self._buckets[key]
        self._listed = [*self._buckets.values()]
        self._ranks.clear()

    def free(self, place: int) -> dict[str, int]:
        """What is left on a node, by resource name in whole units; parts of devices are added up."""
        found = {"cores": self.cores[place], "memory_mb": self.memory[place]}
        found |= {kind: number * MILLI for kind, number in self.bucket[place].whole}
        for (kind, _), left in self.parts.get(place, NO_PARTS).items():
            found[kind] = found.get(kind, 0) + left
        return found

    def on(self, place: int, shape: Shape) -> Shape:
        """What a job of this shape takes on a node: itself, or the one of its choices."""
        return self._taken(self.bucket[place].capacity, shape) or shape if shape.choices else shape

    def change(self, place: int, shape: Shape, sign: int, device: int | None = None) -> int | None:
        """Takes the shape's amounts from a node (sign -1) or gives them back (1).

        device: the number of the shared device; None takes it of the one that the placement names. The answer is the
        number of the device, None when the shape asks for no part of one.
        """
        bucket = self.bucket[place]
        after = bucket
        if shape.share:
            after, device = self._share(place, shape, sign, device)
        elif shape.accelerators:
            move = (shape.accelerators, sign)
            known = bucket.moves.get(move)
            if known is None or not known.is_listed:
                whole = shifted(bucket.whole, shape.accelerators, sign)
                known = bucket.moves[move] = self._bucket_of(bucket.centre, bucket.capacity, whole, bucket.most)
            after = known
        cores = self.cores[place] + sign * shape.milli_cores
        memory = self.memory[place] + sign * shape.memory_mb
        if self.open[place]:
            entries = bucket.entries
            del entries[bisect_left(entries, (self.cores[place], self.memory[place], place))]
            insort(after.entries, (cores, memory, place))
        self.cores[place], self.memory[place], self.bucket[place] = cores, memory, after
        self._lefts.pop(place, None)
        return device

    def _share(self, place: int, shape: Shape, sign: int, device: int | None) -> tuple[_Bucket, int]:
        """The bucket after part of a device is taken or given back, and the number of the device."""
        bucket, kind = self.bucket[place], shape.accelerators[0][0]
        parts = self.parts.setdefault(place, {})
        if device is None:
            device = numbered(parts, kind, self._device(place, shape))
        left = parts.get((kind, device), MILLI) + sign * shape.share
        whole = bucket.whole
        if (kind, device) not in parts:
            whole = shifted(whole, ((kind, 1),), -1)
        parts[kind, device] = left
        if left == MILLI:
            whole = shifted(whole, ((kind, 1),), 1)
            del parts[kind, device]
        if not parts:
            del self.parts[place]
        return self._bucket_of(bucket.centre, bucket.capacity, whole, most(parts)), device

    def _device(self, place: int, shape: Shape) -> int:
        """What the device has left of which a part is taken; a whole one when none has enough."""
        options = sharing(self.lefts(place), shape.accelerators[0][0], shape.share) or [MILLI]
        if self.futures is None or len(options) == 1:
            return options[0]
        return self._growth(place, shape)[1]

    def lefts(self, place: int) -> Lefts:
        """What the devices of a node have left."""
        found = self._lefts.get(place)
        if found is None:
            found = lefts_of(self.bucket[place].whole, self.parts.get(place, NO_PARTS))
            self._lefts[place] = found
        return found

    def best(
        self,
        shape: Shape,
        allowed: Callable[[int], bool] | None,
        centre: str | None = None,
        closed: Collection[str] = (),
    ) -> tuple[int | None, Lacking]:
        """The best node for a shape, or None and what turned the last nodes away.

        allowed: asked for each node that would fit; None: every node is allowed. centre: only its nodes.
        closed: centres of which no node is allowed, each for the same reason.
        lacking: `accelerators` when no node has enough of them free, else `cores` when none of those has enough cores,
        else `memory_mb`; `reserved` when a node would fit but is not allowed.
        """
        if self.futures is not None:
            place = self._least_waste(shape, allowed, centre, closed)
            if place is not None:
                return place, "reserved"
        lacking: Lacking = "accelerators"
        cores, memory = shape.milli_cores, shape.memory_mb
        for rank in self._rank(shape, centre):
            least: _Entry | None = None
            for bucket in rank:
                if bucket.centre in closed:
                    entry, step = _shut(bucket.entries, cores, memory, allowed)
                else:
                    entry, step = _first(bucket.entries, cores, memory, allowed)
                if STEPS[step] > STEPS[lacking]:
                    lacking = step
                if entry is not None and (least is None or entry < least):
                    least = entry
            if least is not None:
                return least[2], lacking
        return None, lacking

    def _rank(self, shape: Shape, centre: str | None) -> Iterator[list[_Bucket]]:
        """Buckets with enough accelerators in the shape's centres, home and least rank first, equal ranks together."""
        ranks = self._ranks.get((shape, centre))
        if ranks is None:
            ranks = self._ranks[shape, centre] = _Ranks()
        for bucket in self._listed[ranks.upto :]:
            is_here = centre in (None, bucket.centre) and (not shape.centres or bucket.centre in shape.centres)
            if is_here and self._holds(bucket, shape):
                rank = (bucket.centre != shape.home, *bucket.rank)
                if rank not in ranks.buckets:
                    insort(ranks.order, rank)
                ranks.buckets.setdefault(rank, []).append(bucket)
        ranks.upto = len(self._listed)
        return map(ranks.buckets.__getitem__, ranks.order)

    def _holds(self, bucket: _Bucket, shape: Shape) -> bool:
        """Whether the nodes of a bucket have enough devices left for a shape."""
        one = self._taken(bucket.capacity, shape)
        if one is None:
            return False
        whole = dict(bucket.whole)
        if one.share:
            kind = one.accelerators[0][0]
            return whole.get(kind, 0) > 0 or dict(bucket.most).get(kind, 0) >= one.share
        return all(whole.get(kind, 0) >= number for kind, number in one.accelerators)

    def _taken(self, capacity: Amounts, shape: Shape) -> Shape | None:
        """What a job takes on nodes with such devices; None when they have never enough."""
        key = (shape, capacity)
        if key not in self._on:
            self._on[key] = shape.on(capacity)
        return self._on[key]

    def _least_waste(
        self, shape: Shape, allowed: Callable[[int], bool] | None, centre: str | None, closed: Collection[str]
    ) -> int | None:
        """The node of the placement `fragmentation`."""
        best: tuple[int, int] | None = None
        seen: set[tuple[int, Lefts]] = set()
        for place in self._candidates(shape, allowed, centre, closed):
            alike = (self.cores[place] // MILLI, self.lefts(place))
            if alike in seen:
                continue
            growth = self._growth(place, self.on(place, shape))[0]
            if best is None or growth < best[0]:
                best = (growth, place)
            seen.add(alike)
            if len(seen) == CANDIDATES:
                break
        return None if best is None else best[1]

    def _candidates(
        self, shape: Shape, allowed: Callable[[int], bool] | None, centre: str | None, closed: Collection[str]
    ) -> Iterator[int]:
        """Nodes that fit and are allowed, in order, as far as home and cost are those of the first."""
        level: tuple[bool, float] | None = None
        for rank in self._rank(shape, centre):
            here = (rank[0].centre != shape.home, rank[0].rank[0])
            if level is not None and here != level:
                return
            usable = [bucket for bucket in rank if bucket.entries and bucket.centre not in closed]
            fitting = [_fitting(bucket, shape, allowed) for bucket in usable]
            for entry in merge(*fitting) if len(fitting) > 1 else fitting[0] if fitting else ():
                level = here
                yield entry[2]

    def _growth(self, place: int, shape: Shape) -> tuple[int, int]:
        """By how much the waste of a node grows with a job, and what the device has left that it takes a part of."""
        futures = self.futures
        if futures is None:
            return 0, MILLI
        key = (shape, self.cores[place], self.lefts(place))
        known = futures.growths.get(key)
        if known is None:
            if len(futures.growths) >= MOST_KEPT:
                futures.growths.clear()
            known = futures.growths[key] = _grown(futures, *key)
        return known


def _grown(futures: Futures, shape: Shape, cores: int, lefts: Lefts) -> tuple[int, int]:
    """The same for a node that has so much left."""
    before, after = futures.waste(cores, lefts), cores - shape.milli_cores
    if not shape.share:
        return futures.waste(after, after_whole(lefts, shape.accelerators)) - before, MILLI
    kind, share = shape.accelerators[0][0], shape.share
    return min(
        (futures.waste(after, after_share(lefts, kind, left, share)) - before, left)
        for left in sharing(lefts, kind, share)
    )


def _fitting(bucket: _Bucket, shape: Shape, allowed: Callable[[int], bool] | None) -> Iterator[_Entry]:
    """The nodes of a bucket that fit and are allowed, in order; of nodes sure to be alike the first will do."""
    entries, memory, position = bucket.entries, shape.memory_mb, bisect_left(bucket.entries, (shape.milli_cores,))
    while position < len(entries):
        entry = entries[position]
        position += 1
        if entry[1] >= memory and (allowed is None or allowed(entry[2])):
            yield entry
            if not bucket.most:
                position = bisect_left(entries, (entry[0] - entry[0] % MILLI + MILLI,), position)


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


def _shut(
    entries: list[_Entry], cores: int, memory: int, allowed: Callable[[int], bool] | None
) -> tuple[_Entry | None, Lacking]:
    """The same for a bucket of which none is allowed: the first that fits is asked, and speaks for all."""
    entry, step = _first(entries, cores, memory, None)
    if entry is None:
        return None, step
    if allowed is not None:
        allowed(entry[2])
    return None, "reserved"


def _models(capacity: Amounts) -> Amounts:
    """The devices of an empty node as far as a choice of kinds depends on them."""
    return capacity if len(capacity) != 1 else ((capacity[0][0], NEVER_LIMITS),)


def _takes_jobs(node: Node, centres: Mapping[str, Centre]) -> bool:
    centre = centres.get(node.centre)
    return node.state == "up" and centre is not None and centre.state == "open"
