"""The queue in order: jobs of one tenant and shape in turns, the turns of one tenant in a lane."""

from __future__ import annotations

import math
from collections.abc import Collection
from heapq import heapify

from compute_scheduler.domain.board import Board, Group
from compute_scheduler.domain.fairshare import dominant_share, mean_past
from compute_scheduler.domain.quota import units
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.snapshot import Policy


class Turn:
    """Jobs of one tenant and shape in order, and how far they are decided."""

    __slots__ = ("at", "entries", "jobs", "shape")

    def __init__(self, shape: Shape, jobs: Group) -> None:
        self.shape, self.jobs, self.entries, self.at = shape, jobs, jobs.entries, 0

    def skip(self, aside: Collection[str]) -> bool:
        """Moves to the next job that is not decided; False at the end."""
        entries = self.entries
        if aside:
            while self.at < len(entries) and entries[self.at][1] in aside:
                self.at += 1
        return self.at < len(entries)

    def rest(self, aside: Collection[str]) -> tuple[str, ...]:
        """Ids of all that are not decided."""
        ids = self.jobs.ids()
        if self.at:
            ids = ids[self.at :]
        if aside:
            ids = tuple([job_id for job_id in ids if job_id not in aside])
        return ids


class Lane:
    """A tenant's turns, the one with the next job on top, and its share over its fair part."""

    __slots__ = ("fair_part", "heap", "past", "share", "tenant")

    def __init__(self, tenant: str, fair_part: float, past: dict[str, float]) -> None:
        self.tenant, self.fair_part, self.past = tenant, fair_part, past
        self.heap: list[tuple[float, str, Turn]] = []
        self.share = 0.0

    def reckon(self, board: Board) -> None:
        """Counts its share anew."""
        self.share = dominant_share(self.past, board.held.get(self.tenant, {}), board.total, self.fair_part)


def share_of(board: Board, tenant: str, now: float, policy: Policy) -> float:
    """A tenant's share over its fair part, whether it has jobs to decide or not."""
    return _lane(board, tenant, now, policy, _competing(board) or 1.0).share


def _lane(board: Board, tenant: str, now: float, policy: Policy, competing: float) -> Lane:
    known, usage = board.tenants.get(tenant), board.usages.get(tenant)
    past = mean_past(usage, now, policy.half_life_s) if usage else {}
    past = {name: float(units(name, 1.0)) * amount for name, amount in past.items()}
    lane = Lane(tenant, (known.weight if known else 1.0) / competing, past)
    lane.reckon(board)
    return lane


def lanes_of(board: Board, now: float, policy: Policy, aside: Collection[str]) -> list[Lane]:
    """Tenants that have jobs to decide. aside: jobs that are decided already."""
    lanes: dict[str, Lane] = {}
    competing = _competing(board) or 1.0
    for (tenant, shape), jobs in board.groups.items():
        lane = lanes.get(tenant)
        if lane is None:
            lane = lanes[tenant] = _lane(board, tenant, now, policy, competing)
        turn = Turn(shape, jobs)
        if turn.skip(aside):
            entry = turn.entries[turn.at]
            lane.heap.append((entry[0], entry[1], turn))
    for lane in lanes.values():
        heapify(lane.heap)
    return [lane for lane in lanes.values() if lane.heap]


def _competing(board: Board) -> float:
    """The weight of all known tenants that queue jobs or hold anything."""
    names = {tenant for tenant, _ in board.groups}
    names |= {tenant for tenant, held in board.held.items() if any(held.values())}
    return math.fsum(board.tenants[name].weight for name in names if name in board.tenants)
