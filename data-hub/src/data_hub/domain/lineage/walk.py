"""Walking the lineage graph up or down, breadth first, bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from data_hub.domain.lineage.nodes import Edge


@dataclass(frozen=True)
class State:
    """Where a walk is. column: the column that is followed there, None for all of it.

    via: for a run, the data set by which it was entered; its columns tell which of the run's other ends belong.
    """

    node: str
    column: str | None = None
    via: str = ""


@dataclass(frozen=True)
class Step:
    """An edge that leads from one state to the next; columns: (name at the source, name at the target) if followed."""

    edge: Edge
    origin: State
    reached: State


Neighbours = Callable[[Sequence[State]], Iterable[Step]]


@dataclass
class Walk:
    """What was found. distances: by node, in the order found; is_cut: there is more than was to be looked at."""

    distances: dict[str, int] = field(default_factory=dict)
    edges: dict[Edge, set[str]] = field(default_factory=dict)
    is_cut: bool = False


def walk(start: Iterable[State], neighbours: Neighbours, depth: int, most: int) -> Walk:
    """Every node within `depth` edges of the start, nearest first; nodes of one distance in order of their names.

    Stops as cut before there are more than `most` nodes. Each state is asked for its neighbours once.
    """
    found = Walk()
    frontier = sorted(set(start), key=_order)
    seen = set(frontier)
    for state in frontier:
        found.distances.setdefault(state.node, 0)
    for distance in range(1, depth + 1):
        fresh: set[State] = set()
        steps = sorted(neighbours(frontier), key=lambda step: _order(step.reached))
        for step in steps:
            node = step.reached.node
            if node not in found.distances:
                if len(found.distances) >= most:
                    found.is_cut = True
                    continue
                found.distances[node] = distance
            found.edges.setdefault(step.edge, set()).update(_columns(step))
            if step.reached not in seen:
                seen.add(step.reached)
                fresh.add(step.reached)
        if not fresh:
            break
        frontier = sorted(fresh, key=_order)
    return found


def joined(parts: Sequence[Walk]) -> Walk:
    """Several walks from one start as one."""
    whole = Walk()
    nodes = sorted({(distance, node) for part in parts for node, distance in part.distances.items()})
    for distance, node in nodes:
        whole.distances.setdefault(node, distance)
    for part in parts:
        whole.is_cut |= part.is_cut
        for edge, columns in part.edges.items():
            whole.edges.setdefault(edge, set()).update(columns)
    return whole


def _order(state: State) -> tuple[str, str, str]:
    return state.node, state.column or "", state.via


def _columns(step: Step) -> set[str]:
    """The columns at the data set's end of a step."""
    for state in (step.origin, step.reached):
        if state.column is not None and not state.node.startswith("run:"):
            return {state.column}
    return set()
