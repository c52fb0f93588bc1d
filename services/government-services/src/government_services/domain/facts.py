"""Facts that the warehouse gives about a chain; the panorama is computed from these alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NodeFact:
    """A node 环节 of the chain."""

    id: str
    name: str
    stage: str | None = None
    stage_order: int | None = None
    parent: str | None = None


@dataclass(frozen=True)
class LinkFact:
    """Goods flow from `source` to `target`; both as the data set names them."""

    source: str
    target: str
    weight: float = 1.0


@dataclass(frozen=True)
class EnterpriseFact:
    """An enterprise with its region (GB/T 2260) and chosen attributes."""

    id: str
    name: str
    region: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberFact:
    """An enterprise works at a node."""

    enterprise: str
    node: str


@dataclass(frozen=True)
class MeasureFact:
    """A measure of one enterprise summed over the window, and over the window one year before (None: no data)."""

    enterprise: str
    value: float | None
    previous: float | None


@dataclass(frozen=True)
class MeasureSeries:
    """Monthly totals of a measure over the chain's members, oldest first, and the last month."""

    as_of: str | None = None
    totals: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ChainFacts:
    """Everything that the panorama of one chain is computed from."""

    nodes: tuple[NodeFact, ...] = ()
    links: tuple[LinkFact, ...] = ()
    enterprises: tuple[EnterpriseFact, ...] = ()
    members: tuple[MemberFact, ...] = ()
    measures: dict[str, tuple[MeasureFact, ...]] = field(default_factory=dict)
    series: dict[str, MeasureSeries] = field(default_factory=dict)
