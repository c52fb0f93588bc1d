"""What a node is likely to be left with: the waste of its accelerators over a few imagined futures.

Fragmentation gradient descent (Weng et al., "Beware of Fragmentation", USENIX ATC 2023) measures how much of a node's
free accelerators the next job, drawn by popularity, could not use. This measures what is left when a whole sequence of
such jobs has come: nearer to what is lost in the end, and aware of what fits together.

Specification. `FUTURES` sequences of `ARRIVALS` jobs each are drawn from the popular demands: the demands in order of
weight fill `FUTURES * ARRIVALS` places in proportion (systematic sampling, so that rare ones come as often as they
should), which a fixed shuffle then spreads over the sequences. In one future each job that fits on the node takes its
cores and devices (part of a device where the least sufficient is left; of several kinds the first that the node has)
and no other leaves; memory is not looked at, cores count whole. The waste is what is then left of the node's devices,
in thousandths. The waste of a node is the soft minimum over the futures, `-1000 / SHARPNESS * ln(mean(exp(-SHARPNESS *
waste / 1000)))`, to a whole number: a node need not fit every future, as there are other nodes; it should fit some
well. With the same few futures for all nodes they act as patterns that a node is filled after.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from compute_scheduler.domain.resources import ANY_OF, MILLI, Resources
from compute_scheduler.domain.snapshot import Popular

FUTURES, ARRIVALS, SHARPNESS = 16, 30, 4.0
Lefts = tuple[tuple[str, tuple[int, ...]], ...]
"""What the devices of a node have left, thousandths, by kind in order, each in rising order and without zeros."""
Arrival = tuple[int, int, int, int]
"""Thousandths of cores; which kind of the node; whole devices; share of one."""
MOST_KEPT = 200_000


@dataclass(slots=True)
class Futures:
    """The imagined futures; wastes once worked out are kept.

    growths: by shape and what a node has left, what placement works out of wastes.
    """

    popular: tuple[Popular, ...] = ()
    growths: dict[tuple[object, int, Lefts], tuple[int, int]] = field(default_factory=dict)
    _drawn: list[list[Resources]] = field(default_factory=list)
    _for_kinds: dict[tuple[str, ...], list[list[Arrival]]] = field(default_factory=dict)
    _wastes: dict[tuple[int, Lefts], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drawn = draw(self.popular)

    def waste(self, milli_cores: int, lefts: Lefts) -> int:
        """The waste of a node with so much left, thousandths of a device; 0 when nothing is known of what will come."""
        if not lefts or not self._drawn:
            return 0
        key = (milli_cores // MILLI, lefts)
        known = self._wastes.get(key)
        if known is None:
            if len(self._wastes) >= MOST_KEPT:
                self._wastes.clear()
            kinds = tuple(kind for kind, _ in lefts)
            futures = self._for_kinds.get(kinds)
            if futures is None:
                futures = self._for_kinds[kinds] = [list(_arrivals(future, kinds)) for future in self._drawn]
            run = _run_one if len(lefts) == 1 else _run
            cores = key[0] * MILLI
            known = self._wastes[key] = _soft_minimum([run(cores, lefts, future) for future in futures])
        return known


def draw(popular: Iterable[Popular]) -> list[list[Resources]]:
    """The futures as demands; none when nothing is popular."""
    known = sorted((item for item in popular if item.weight > 0), key=lambda item: (-item.weight, _order(item.demand)))
    total = sum(item.weight for item in known)
    places: list[Resources] = []
    number, upto = 0, known[0].weight if known else 0.0
    for place in range(FUTURES * ARRIVALS if known else 0):
        while number + 1 < len(known) and upto < (place + 0.5) / (FUTURES * ARRIVALS) * total:
            number += 1
            upto += known[number].weight
        places.append(known[number].demand)
    random.Random(0).shuffle(places)  # noqa: S311 - spreads evenly, no secret
    return [places[number::FUTURES] for number in range(FUTURES)] if places else []


def _order(demand: Resources) -> tuple[int, int, tuple[tuple[str, int], ...], int]:
    return demand.milli_cores, demand.memory_mb, demand.accelerators, demand.share


def _arrivals(future: Iterable[Resources], kinds: tuple[str, ...]) -> Iterable[Arrival]:
    """The jobs of a future that could run on a node with these kinds of devices."""
    for demand in future:
        if not demand.accelerators:
            yield demand.milli_cores, 0, 0, 0
        elif len(demand.accelerators) == 1:
            kind, number = demand.accelerators[0]
            for place, here in enumerate(kinds):
                if here in kind.split(ANY_OF):
                    yield demand.milli_cores, place, 0 if demand.share else number, demand.share
                    break


def _run_one(cores: int, lefts: Lefts, future: list[Arrival]) -> int:
    """What one future leaves of a node with one kind of devices; the same as `_run`, quicker."""
    devices = list(lefts[0][1])
    left = sum(devices)
    for need, _, number, share in future:
        if need > cores:
            continue
        if share:
            at = bisect_left(devices, share)
            if at == len(devices):
                continue
            rest = devices.pop(at) - share
            if rest:
                insort(devices, rest)
            left -= share
        elif number:
            if len(devices) < number or devices[-number] < MILLI:
                continue
            del devices[-number:]
            left -= MILLI * number
        cores -= need
        if not left:
            break
    return left


def _run(cores: int, lefts: Lefts, future: list[Arrival]) -> int:
    """What one future leaves of a node."""
    devices = [list(have) for _, have in lefts]
    for need, place, number, share in future:
        if need <= cores and _take(devices[place], number, share):
            cores -= need
    return sum(sum(have) for have in devices)


def _take(devices: list[int], number: int, share: int) -> bool:
    """Takes whole devices, or part of the least sufficient one; False when there are not enough."""
    if share:
        at = bisect_left(devices, share)
        if at == len(devices):
            return False
        rest = devices.pop(at) - share
        if rest:
            insort(devices, rest)
    elif number:
        if len(devices) < number or devices[-number] < MILLI:
            return False
        del devices[-number:]
    return True


def _soft_minimum(wastes: list[int]) -> int:
    mean = sum(math.exp(-SHARPNESS * waste / MILLI) for waste in wastes) / len(wastes)
    return round(-MILLI / SHARPNESS * math.log(mean))
