"""Which devices of its node an attempt gets, by number, and what it holds of them.

The plan counts whole devices and numbers only those that are shared. Here every device of a node has a number, 0 to one
less than the node has of the kind; where jobs end faster than word of it travels two attempts may be given the same
one, and the engine of the node lets the second wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypedDict

from compute_scheduler.domain.resources import MILLI, Resources


class Held(TypedDict):
    """What an attempt holds of one kind: devices as a whole, or part of one (0.001 to 0.999); their numbers."""

    amount: float
    devices: list[int]


Holding = dict[str, Held]
"""By kind of accelerator."""
_Device = tuple[str, str, int]


class Binding:
    """Gives devices to the starts of one plan. taken: of each living attempt the node and what it holds there."""

    def __init__(self, taken: Iterable[tuple[str, Mapping[str, Held]]]) -> None:
        self._taken: Counter[_Device] = Counter()
        # The devices that the plan knows as shared, by its number for them.
        self._named: dict[_Device, int] = {}
        for node, holding in taken:
            for kind, held in holding.items():
                for number in held["devices"]:
                    self._taken[node, kind, number] += _part(held)
                    if held["amount"] < 1:
                        self._named[node, kind, number] = number

    def bind(self, node: str, demand: Resources, capacity: Resources, device: int | None = None) -> Holding:
        """What an attempt gets. demand: of one kind each. device: by which the plan calls the one that is shared."""
        found: Holding = {}
        for kind, number in demand.accelerators:
            if demand.share:
                numbers = [self._shared(node, kind, demand.share, capacity, device)]
            else:
                numbers = self._least_taken(node, kind, capacity)[:number]
            found[kind] = Held(amount=demand.share / MILLI if demand.share else number, devices=sorted(numbers))
            for one in numbers:
                self._taken[node, kind, one] += demand.share or MILLI
        return found

    def _shared(self, node: str, kind: str, share: int, capacity: Resources, device: int | None) -> int:
        """The device that the plan means if it has room, so that parts of one come together; else one that is free."""
        key = (node, kind, device or 0)
        meant = self._named.get(key)
        if meant is not None and self._taken[node, kind, meant] <= MILLI - share:
            return meant
        chosen = self._named[key] = self._least_taken(node, kind, capacity)[0]
        return chosen

    def _least_taken(self, node: str, kind: str, capacity: Resources) -> list[int]:
        """The devices of a kind, those of which least is taken first, then by number."""
        numbers = range(max(1, dict(capacity.accelerators).get(kind, 0)))
        return sorted(numbers, key=lambda number: (self._taken[node, kind, number], number))


def settled(demand: Resources, holding: Mapping[str, Held]) -> tuple[Resources, int | None]:
    """What is held of what was asked for, of several kinds the one that was given; the device of which it is a part."""
    kinds = tuple(sorted((kind, 1 if demand.share else int(held["amount"])) for kind, held in holding.items()))
    device = next((held["devices"][0] for held in holding.values()), None) if demand.share else None
    return replace(demand, accelerators=kinds), device


def _part(held: Held) -> int:
    return min(MILLI, round(held["amount"] * MILLI))
