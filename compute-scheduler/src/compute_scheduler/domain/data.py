"""Where the data of a job are, where they may go, and what it takes to bring them to each centre.

The rule that data may not leave their domain 数据不出域 is hard: it takes centres away from a job, before any cost is
looked at. A data set's own rule names centres and regions; without one, data sets of the classes that stay (GB/T 43697
重要 and 核心 by default) stay in the centres beside the warehouse, and all others may go anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from compute_scheduler.domain.network import Network
from compute_scheduler.domain.snapshot import Stage

MICRO, GB = 1_000_000, 10**9
Version = tuple[str, str | None, str]
"""Data set, version, view."""


@dataclass(frozen=True, slots=True)
class Need:
    """A version of a data set that a job reads.

    size: bytes; None: not told to the job's organisation. view: which rows and columns it may have ("": not known).
    files: whether they are brought to it.
    """

    dataset: str
    version: str | None
    size: int | None = None
    classification: str = ""
    view: str = "whole"
    files: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """What a job's data say of where it runs.

    centres: where they may all be; None: anywhere; empty: nowhere, then `bound` names the data sets that leave no
    centre. home: where bringing them takes the least. stages: what bringing them takes, by centre.
    """

    centres: tuple[str, ...] | None = None
    home: str | None = None
    stages: Mapping[str, Stage] = field(default_factory=dict)
    bound: tuple[str, ...] = ()


@dataclass(frozen=True)
class Atlas:
    """All that decides on data, at one moment.

    centres: every centre with its region code ('' unknown). warehouse: the centres beside the warehouse, which hold
    what it holds. replicas: dataset, version and view to the centres with a copy. rules: dataset to the centres and
    regions where it may be. staying: classes that stay beside the warehouse. gb_price: millionths of a yuan a GB, by
    centre. moving: dataset, version and view to the centres that they are on their way to, and when they arrive, ms.
    """

    centres: Mapping[str, str]
    warehouse: tuple[str, ...]
    replicas: Mapping[Version, frozenset[str]]
    rules: Mapping[str, tuple[str, ...]]
    staying: frozenset[str]
    gb_price: Mapping[str, int]
    moving: Mapping[Version, Mapping[str, int]] = field(default_factory=dict)

    def allowed(self, need: Need) -> frozenset[str] | None:
        """The centres where a data set may be; None: all."""
        rule = self.rules.get(need.dataset)
        if rule is not None:
            return frozenset(name for name, region in self.centres.items() if permits(rule, name, region))
        if need.classification in self.staying:
            return frozenset(self.warehouse)
        return None

    def holders(self, need: Need) -> frozenset[str]:
        """The centres that have it: those beside the warehouse, and those with a copy."""
        return frozenset(self.warehouse) | self.replicas.get(version_of(need), frozenset())

    def place(self, needs: Sequence[Need], network: Network, at_ms: int, asked: Collection[str] = ()) -> Placed:
        """Where a job with these needs may run and what each centre takes. asked: the centres that the job names."""
        if not needs:
            return Placed()
        open_to = set(asked) & self.centres.keys() if asked else set(self.centres)
        if not open_to:
            return Placed(tuple(asked) or None)
        rules = [(need.dataset, self.allowed(need)) for need in needs]
        bound = tuple(dict.fromkeys(dataset for dataset, allowed in rules if allowed is not None))
        left = set(open_to)
        for _, allowed in rules:
            left &= open_to if allowed is None else allowed
        stages = {centre: stage for centre in sorted(left) if (stage := self.stage(needs, centre, network, at_ms))}
        if not stages:
            return Placed((), bound=bound)
        is_free = not asked and stages.keys() == self.centres.keys()
        home = min(stages, key=lambda centre: (stages[centre].seconds, stages[centre].yuan, centre), default=None)
        return Placed(None if is_free else tuple(stages), home, stages, bound)

    def stage(self, needs: Iterable[Need], centre: str, network: Network, at_ms: int) -> Stage | None:
        """What it takes to bring all of them to a centre, one after another; None: no way leads there.

        What is on its way there already is waited for, and nobody pays for it again.
        """
        size, until_ms, arrive_ms = 0, at_ms, at_ms
        for need in needs:
            coming_ms = self.moving.get(version_of(need), {}).get(centre)
            if coming_ms is not None and centre not in self.holders(need):
                arrive_ms = max(arrive_ms, coming_ms)
                continue
            found = network.earliest(need.size or 0, self.holders(need), centre, until_ms)
            if found is None:
                return None
            size += (need.size or 0) if found.path else 0
            until_ms = found.finish_ms
        until_ms = max(until_ms, arrive_ms)
        return Stage((until_ms - at_ms) / 1000, price_of(size, self.gb_price.get(centre, 0)) / MICRO, size)


def version_of(need: Need) -> Version:
    """What copies of it are known by."""
    return need.dataset, need.version, need.view


def price_of(size: int, gb_price: int) -> int:
    """What moving so many bytes costs in millionths of a yuan, rounded half to even as the ledger does."""
    return round(Fraction(size * gb_price, GB))


def permits(rule: Iterable[str], centre: str, region: str) -> bool:
    """Whether a rule lets data be at a centre: it names the centre, or a region (GB/T 2260) that the centre lies in."""
    return any(entry == centre or (entry.isdigit() and bool(region) and _lies_in(region, entry)) for entry in rule)


def _lies_in(region: str, whole: str) -> bool:
    """Six digits: province, prefecture, county; a pair of zeros at the end stands for all of them."""
    significant = whole.removesuffix("00").removesuffix("00") if whole.endswith("00") else whole
    return region.startswith(significant)
