"""Gangs: members that start together in one centre, all or none.

Specification. In each centre where the job may run, home first, then by cost and id, the members take the node of best
fit one after another, each beside those before it; the first centre in which all find one gets the gang. Where none
does, it waits for the earliest obstacle that turned a centre's first unplaced member away, else for the resource
that was lacking last.

A reservation is the earliest time at which one centre (the first by id) has room for all members for the whole time
limit. Its nodes are taken by id, each with as many members as fit.

Members ask for the same, so taking nodes one after another finds room for all whenever there is room for all. Nothing
is held for a part of a gang: an attempt to place it leaves no trace when it fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.placement import STEPS, Lacking, NodeIndex
from compute_scheduler.domain.shapes import Shape, members, times
from compute_scheduler.domain.timeline import End, Obstacle, Reserved, Timeline, is_usable, shift


def place(
    shape: Shape, board: Board, timeline: Timeline, ends_by_at: float, centre: str | None = None
) -> tuple[tuple[int, ...], Lacking, Obstacle | None]:
    """The node of each member, or none, what was lacking, and the earliest obstacle that kept a centre from it.

    centre: only there.
    """
    lacking: Lacking = "accelerators"
    blockers: list[Obstacle] = []
    for at in _centres(shape, board) if centre is None else [centre]:
        found, step, blocker = _place_in(at, shape, board, timeline, ends_by_at)
        if len(found) == shape.gang:
            return tuple(found), step, None
        lacking = max(lacking, step, key=lambda one: STEPS[one])
        if blocker is not None:
            blockers.append(blocker)
    return (), lacking, min(blockers, key=lambda kept: kept.order, default=None)


def _centres(shape: Shape, board: Board) -> list[str]:
    wanted = shape.centres or board.centres
    known = [board.centres[centre] for centre in wanted if centre in board.centres]
    return [item.id for item in sorted(known, key=lambda item: (item.id != shape.home, item.cost, item.id))]


def _place_in(
    centre: str, shape: Shape, board: Board, timeline: Timeline, ends_by_at: float
) -> tuple[list[int], Lacking, Obstacle | None]:
    """As many members as find a node in the centre; everything is given back."""
    found: list[int] = []
    devices: list[int | None] = []
    lacking: Lacking = "accelerators"
    blocker: Obstacle | None = None
    while len(found) < shape.gang:
        at, lacking, blocker = timeline.best(shape, ends_by_at, centre)
        if at is None:
            break
        devices.append(board.index.change(at, shape, -1))
        timeline.start(at, "", shape, ends_by_at)
        found.append(at)
    for at, device in zip(reversed(found), reversed(devices), strict=True):
        board.index.change(at, shape, 1, device)
        timeline.start(at, "", shape, ends_by_at, 1)
    return found, lacking, blocker


def room_at(shape: Shape, centre: str, index: NodeIndex, ends: Iterable[End]) -> float | None:
    """When running jobs leave room for all members at a centre that has none, reservations aside; None: for ever."""
    free = {at: left for at, left in _with_room(shape, index).items() if index.nodes[at].centre == centre}
    room = {at: members(shape.amounts, left, shape.gang) for at, left in free.items()}
    for end_at, at, _job_id, ended in ends:
        if index.nodes[at].centre == centre and is_usable(index, at, shape):
            left = free.setdefault(at, index.free(at))
            shift(left, ended.amounts, 1)
            room[at] = members(shape.amounts, left, shape.gang)
            if sum(room.values()) >= shape.gang:
                return end_at
    return None


def reserve(timeline: Timeline, job_id: str, shape: Shape, time_limit_s: float, ends: Iterable[End]) -> Reserved | None:
    """Keeps the earliest start for a gang on all its nodes and returns the first; None when there will never be room.

    ends: of all that runs, in order of (end, place).
    """
    index = timeline.index
    free = _with_room(shape, index)
    room = {at: members(shape.amounts, left, shape.gang) for at, left in free.items()}
    sums: dict[str, int] = {}
    for at, number in room.items():
        sums[index.nodes[at].centre] = sums.get(index.nodes[at].centre, 0) + number
    usable: dict[int, bool] = {}
    for moment, events in groupby(timeline.times(ends), key=itemgetter(0)):
        touched = set()
        for _, at, amounts in events:
            if usable.setdefault(at, is_usable(index, at, shape)):
                left = free.setdefault(at, index.free(at))
                shift(left, amounts, 1)
                centre, before = index.nodes[at].centre, room.get(at, 0)
                room[at] = members(shape.amounts, left, shape.gang)
                sums[centre] = sums.get(centre, 0) + room[at] - before
                touched.add(centre)
        # Reservations and windows only take from what running jobs leave, so the sums are never too small.
        for centre in sorted(centre for centre in touched if sums[centre] >= shape.gang):
            here = [at for at in sorted(room) if room[at] and index.nodes[at].centre == centre]
            chosen = _spread(timeline, shape, free, here, moment, moment + time_limit_s)
            if chosen:
                until = moment + time_limit_s
                kept = [
                    Reserved(job_id, at, moment, until, times(shape.amounts, number), free[at], shape.uses)
                    for at, number in chosen.items()
                ]
                for item in kept:
                    timeline.keep(item)
                return kept[0]
    return None


def _with_room(shape: Shape, index: NodeIndex) -> dict[int, dict[str, int]]:
    """What is free on each node where a member would fit now."""
    found = {}
    for at in range(len(index.nodes)):
        if index.cores[at] >= shape.milli_cores and index.memory[at] >= shape.memory_mb and is_usable(index, at, shape):
            found[at] = index.free(at)
    return found


def _spread(
    timeline: Timeline,
    shape: Shape,
    free: Mapping[int, Mapping[str, int]],
    here: Iterable[int],
    start_at: float,
    end_at: float,
) -> dict[int, int]:
    """Members by node beside reservations and windows; empty when not all fit."""
    chosen: dict[int, int] = {}
    left = shape.gang
    for at in here:
        number = timeline.room(at, shape, free[at], start_at, end_at, left)
        if number:
            chosen[at] = number
            left -= number
        if not left:
            return chosen
    return {}
