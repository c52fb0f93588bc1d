"""Amounts of compute: cores, memory and accelerators by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MILLI = 1000
ANY_OF = "|"
"""Between kinds of accelerators of which a job takes any: `A100|V100`."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a node has or a job asks for; amounts are exact, so that sums never drift.

    milli_cores: thousandths of a core. memory_mb: 10^6 bytes. accelerators: (kind, number of devices) in the order of
    kinds, without zeros; a job may name several kinds in one (`A100|V100`). share: thousandths of the one device that
    a job asks for, when it wants only part of one; 0: devices as a whole. Build it with `resources`, which checks and
    sorts.
    """

    milli_cores: int
    memory_mb: int
    accelerators: tuple[tuple[str, int], ...] = ()
    share: int = 0

    @property
    def cores(self) -> float:
        """Cores, with thousandths."""
        return self.milli_cores / MILLI

    def amounts(self) -> dict[str, float]:
        """Amount by resource name: `cores`, `memory_mb` and each kind of accelerator (part of one when shared)."""
        devices = {kind: self.share / MILLI if self.share else number for kind, number in self.accelerators}
        return {"cores": self.cores, "memory_mb": self.memory_mb, **devices}

    def covers(self, demand: Resources) -> bool:
        """Whether the demand fits into this, with all devices free."""
        here = dict(self.accelerators)
        return (
            demand.milli_cores <= self.milli_cores
            and demand.memory_mb <= self.memory_mb
            and all(
                any(here.get(one, 0) >= number for one in kind.split(ANY_OF)) for kind, number in demand.accelerators
            )
        )


def resources(cores: float, memory_mb: int, accelerators: Mapping[str, float] | None = None) -> Resources:
    """Amounts as people write them: cores to three decimals, memory in MB, accelerators by kind.

    Part of one device is written as a fraction to three decimals (`{"A100": 0.25}`), any of several kinds with `|`
    between them (`{"A100|V100": 2}`); both only as the one entry. Raises ValueError on other fractions and choices, on
    negative amounts and on a kind named `cores` or `memory_mb`.
    """
    kinds = dict(accelerators or {})
    if cores < 0 or memory_mb < 0 or any(number < 0 for number in kinds.values()):
        raise ValueError("amounts of compute are never negative")
    if any(one in ("", "cores", "memory_mb") for kind in kinds for one in kind.split(ANY_OF)):
        raise ValueError("an accelerator needs a kind of its own")
    numbers = [(ANY_OF.join(sorted(set(kind.split(ANY_OF)))), number) for kind, number in kinds.items() if number]
    parts = [number for _, number in numbers if number != int(number)]
    if len(numbers) > 1 and (parts or any(ANY_OF in kind for kind, _ in numbers)):
        raise ValueError("part of an accelerator, or one of several kinds, is asked for alone")
    share = round(parts[0] * MILLI) if parts else 0
    if parts and not 0 < share < MILLI:
        raise ValueError("of accelerators a job takes whole ones, or part of a single one (0.001 to 0.999)")
    devices = tuple(sorted((kind, 1 if share else int(number)) for kind, number in numbers))
    return Resources(round(cores * MILLI), int(memory_mb), devices, share)
