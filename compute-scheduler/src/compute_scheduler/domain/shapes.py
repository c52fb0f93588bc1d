"""Shapes: jobs that ask for the same, may run in the same centres and have one home are alike for placement."""

from __future__ import annotations

from dataclasses import dataclass, field

from compute_scheduler.domain.resources import Resources

Amounts = tuple[tuple[str, int], ...]


def amounts_of(demand: Resources) -> Amounts:
    """Resource names with whole units (thousandths of cores), without zeros, cores first."""
    every = (("cores", demand.milli_cores), ("memory_mb", demand.memory_mb), *demand.accelerators)
    return tuple((name, amount) for name, amount in every if amount)


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """What a job asks of a node. One object for all jobs alike (compared by identity).

    kind: jobs of the same centres and kinds of accelerators compete for the same nodes and share reservations.
    """

    demand: Resources
    centres: tuple[str, ...]
    home: str | None
    milli_cores: int
    memory_mb: int
    accelerators: Amounts
    amounts: Amounts
    kind: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(slots=True)
class Shapes:
    """The shapes met so far."""

    known: dict[tuple[Resources, tuple[str, ...], str | None], Shape] = field(default_factory=dict)

    def of(self, demand: Resources, centres: tuple[str, ...] = (), home: str | None = None) -> Shape:
        """The one shape of a demand, the centres it may run in (in any order) and the one tried first."""
        key = (demand, centres, home)
        shape = self.known.get(key)
        if shape is None:
            where = tuple(sorted(set(centres)))
            shape = self.known.get((demand, where, home)) or Shape(
                demand,
                where,
                home,
                demand.milli_cores,
                demand.memory_mb,
                demand.accelerators,
                amounts_of(demand),
                (where, tuple(kind for kind, _ in demand.accelerators)),
            )
            self.known[key] = self.known[demand, where, home] = shape
        return shape
