"""Amounts of compute: cores, memory and accelerators by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Resources:
    """What a node has or a job asks for; amounts are exact, so that sums never drift.

    milli_cores: thousandths of a core. memory_mb: 10^6 bytes. accelerators: (kind, number) in the order of kinds,
    without zeros. Build it with `resources`, which checks and sorts.
    """

    milli_cores: int
    memory_mb: int
    accelerators: tuple[tuple[str, int], ...] = ()

    @property
    def cores(self) -> float:
        """Cores, with thousandths."""
        return self.milli_cores / MILLI

    def amounts(self) -> dict[str, float]:
        """Amount by resource name: `cores`, `memory_mb` and each kind of accelerator."""
        return {"cores": self.cores, "memory_mb": self.memory_mb, **dict(self.accelerators)}

    def covers(self, demand: Resources) -> bool:
        """Whether the demand fits into this."""
        here = dict(self.accelerators)
        return (
            demand.milli_cores <= self.milli_cores
            and demand.memory_mb <= self.memory_mb
            and all(here.get(kind, 0) >= number for kind, number in demand.accelerators)
        )


def resources(cores: float, memory_mb: int, accelerators: Mapping[str, int] | None = None) -> Resources:
    """Amounts as people write them: cores to three decimals, memory in MB, accelerators by kind.

    Raises ValueError on a negative amount or on a kind named `cores` or `memory_mb`.
    """
    kinds = dict(accelerators or {})
    if cores < 0 or memory_mb < 0 or any(number < 0 for number in kinds.values()):
        raise ValueError("amounts of compute are never negative")
    if {"cores", "memory_mb"} & set(kinds):
        raise ValueError("an accelerator needs a kind of its own")
    numbers = tuple(sorted((kind, int(number)) for kind, number in kinds.items() if number))
    return Resources(round(cores * MILLI), int(memory_mb), numbers)
