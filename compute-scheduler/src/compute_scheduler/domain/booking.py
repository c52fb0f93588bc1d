"""On which nodes a reservation keeps its capacity: chosen once, when it is made.

Specification. A reservation asks for whole nodes by name, or for parts: so many times the same resources, each on one
node of the centre or of those that it names. A node has room for a part when, at every time of the window, it is there
beside what other reservations keep; a node that any window keeps as a whole then has none. Parts go to nodes that take
jobs now before others, then where what runs beyond the start holds the least cores, then by room for most parts, then
by id. What runs is not counted otherwise: it is left to end, and its end may come earlier than its time limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.shapes import amounts_of, members
from compute_scheduler.domain.snapshot import Node, RunningJob, Window

Kept = tuple[tuple[str, Resources | None], ...]


@dataclass(frozen=True, slots=True)
class Booked:
    """What is kept on which nodes. missing: parts for which there was no room; most: how many an empty centre holds.

    by: ids of the windows in whose way it is, when anything is missing.
    """

    nodes: Kept
    missing: int = 0
    most: int = 0
    by: tuple[str, ...] = ()


def whole_nodes(names: Sequence[str], windows: Iterable[Window], asked: Window) -> Booked:
    """The named nodes as a whole, none with names that are empty (every node of the centre)."""
    inside = set(names)
    by = [
        window
        for window in windows
        if window.centre == asked.centre
        and window.overlaps(asked.start_at, asked.end_at)
        and (not window.nodes or not inside or inside & {node for node, _ in window.nodes})
        and not (window.is_maintenance and asked.is_maintenance)
    ]
    kept = tuple((node, None) for node in sorted(inside))
    return Booked(kept, max(1, len(inside)) if by else 0, len(inside), tuple(window.id for window in _in_order(by)))


def parts(
    nodes: Sequence[Node],
    windows: Iterable[Window],
    asked: Window,
    part: Resources,
    count: int,
    running: Iterable[RunningJob] = (),
) -> Booked:
    """So many parts on nodes of the centre. nodes: those that may be used."""
    here = [
        window
        for window in _in_order(windows)
        if window.centre == asked.centre and window.overlaps(asked.start_at, asked.end_at)
    ]
    amounts = amounts_of(part)
    room = {node.id: members(amounts, _free(node, here, asked), count) for node in nodes}
    most = sum(members(amounts, dict(amounts_of(node.capacity)), count) for node in nodes)
    beyond = _beyond(running, asked.start_at)
    order = sorted(nodes, key=lambda node: (node.state != "up", beyond.get(node.id, 0), -room[node.id], node.id))
    left, kept = count, []
    for node in order:
        number = min(left, room[node.id])
        if number:
            kept.append((node.id, _times(part, number)))
            left -= number
    by = tuple(window.id for window in here if _touches(window, nodes)) if left else ()
    return Booked(tuple(sorted(kept)), left, min(most, count), by)


def _in_order(windows: Iterable[Window]) -> list[Window]:
    return sorted(windows, key=lambda window: window.order)


def _touches(window: Window, nodes: Iterable[Node]) -> bool:
    return not window.nodes or bool({node for node, _ in window.nodes} & {node.id for node in nodes})


def _free(node: Node, windows: Sequence[Window], asked: Window) -> dict[str, int]:
    """What other windows leave of a node at every time of the window."""
    capacity = dict(amounts_of(node.capacity))
    here: list[tuple[Window, Resources | None]] = []
    for window in windows:
        here += [(window, part) for name, part in window.nodes or ((node.id, None),) if name == node.id]
    if any(part is None for _, part in here):
        return {}
    free = dict(capacity)
    for moment in {asked.start_at, *(max(window.start_at, asked.start_at) for window, _ in here)}:
        left = dict(capacity)
        for window, part in here:
            if part is not None and window.is_open(moment):
                for name, amount in amounts_of(part):
                    left[name] = left.get(name, 0) - amount
        free = {name: min(amount, left[name]) for name, amount in free.items()}
    return free


def _beyond(running: Iterable[RunningJob], start_at: float) -> dict[str, int]:
    """Cores by node, thousandths, of what may still run at a time."""
    found: dict[str, int] = {}
    for job in running:
        for node in job.nodes if job.ends_by_at > start_at else ():
            found[node] = found.get(node, 0) + job.demand.milli_cores
    return found


def _times(part: Resources, number: int) -> Resources:
    return replace(
        part,
        milli_cores=part.milli_cores * number,
        memory_mb=part.memory_mb * number,
        accelerators=tuple((kind, each * number) for kind, each in part.accelerators),
    )
