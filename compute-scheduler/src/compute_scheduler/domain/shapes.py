"""Shapes: jobs that ask for the same, may run in the same centres and have one home are alike for placement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from compute_scheduler.domain.resources import ANY_OF, MILLI, Resources

Amounts = tuple[tuple[str, int], ...]


def amounts_of(demand: Resources) -> Amounts:
    """Resource names with whole units (thousandths of cores and of devices), without zeros, cores first."""
    devices = [(kind, demand.share or number * MILLI) for kind, number in demand.accelerators]
    every = (("cores", demand.milli_cores), ("memory_mb", demand.memory_mb), *devices)
    return tuple((name, amount) for name, amount in every if amount)


def times(amounts: Amounts, number: int) -> Amounts:
    """The amounts of so many together."""
    return amounts if number == 1 else tuple([(name, number * amount) for name, amount in amounts])


def members(amounts: Amounts, free: Mapping[str, int], most: int) -> int:
    """How often amounts fit into what is free, at most `most` times."""
    for name, amount in amounts:
        most = min(most, free.get(name, 0) // amount)
    return max(most, 0)


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """What each member of a job asks of its node. One object for all jobs alike (compared by identity).

    gang: how many members start together in one centre; 1 is a job on one node. total: what all of them hold.
    kind: jobs of the same centres, kinds of accelerators and windows compete for the same nodes and share reservations.
    share: thousandths of one device, 0 for whole ones. choices: the same with one kind each, where the job names
    several of which it takes any, in the order of kinds; empty when it leaves no choice. A gang has none.
    uses: the windows (`windows.py`) that are for it.
    """

    demand: Resources
    centres: tuple[str, ...]
    home: str | None
    milli_cores: int
    memory_mb: int
    accelerators: Amounts
    amounts: Amounts
    gang: int
    total: Amounts
    kind: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    share: int
    choices: tuple[Shape, ...] = ()
    uses: tuple[str, ...] = ()

    def on(self, capacity: Amounts) -> Shape | None:
        """What the job takes on a node with such devices: the first choice of which there are enough, or None."""
        here = dict(capacity)
        for one in self.choices or (self,):
            if all(here.get(kind, 0) >= number for kind, number in one.accelerators):
                return one
        return None

    def without(self, kinds: Collection[str]) -> Resources:
        """The demand with its choices but those of some kinds; at least one choice must be left."""
        kind, number = self.accelerators[0]
        left = ANY_OF.join(one for one in kind.split(ANY_OF) if one not in kinds)
        return replace(self.demand, accelerators=((left, number),))


Key = tuple[Resources, tuple[str, ...], str | None, int, tuple[str, ...]]


@dataclass(slots=True)
class Shapes:
    """The shapes met so far."""

    known: dict[Key, Shape] = field(default_factory=dict)

    def of(
        self,
        demand: Resources,
        centres: tuple[str, ...] = (),
        home: str | None = None,
        gang: int = 1,
        uses: tuple[str, ...] = (),
    ) -> Shape:
        """The one shape of a demand, its centres (in any order), the one tried first, the members and the windows."""
        key = (demand, centres, home, gang, uses)
        shape = self.known.get(key)
        if shape is None:
            where = tuple(sorted(set(centres)))
            amounts = amounts_of(demand)
            kinds = demand.accelerators[0][0].split(ANY_OF) if demand.accelerators and gang == 1 else []
            each = [replace(demand, accelerators=((kind, demand.accelerators[0][1]),)) for kind in kinds]
            shape = self.known.get((demand, where, home, gang, uses)) or Shape(
                demand,
                where,
                home,
                demand.milli_cores,
                demand.memory_mb,
                demand.accelerators,
                amounts,
                gang,
                times(amounts, gang),
                (where, tuple(kind for kind, _ in demand.accelerators), uses),
                demand.share,
                tuple(self.of(one, where, home, uses=uses) for one in each) if len(each) > 1 else (),
                uses,
            )
            self.known[key] = self.known[demand, where, home, gang, uses] = shape
        return shape
