"""Pods that come one by one and stay, through the unchanged plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.popularity import Popularity
from compute_scheduler.domain.simulation.openb import PodTrace
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, Snapshot, Tenant

CENTRE, TENANT, LIMIT_S = "cluster", "pods", 3600.0


def pack(trace: PodTrace, policy: Policy, progress: Callable[[int], None] | None = None) -> list[bool]:
    """Which pods found a place, in the order in which they came.

    Each pod is decided when it comes, knowing nothing of those after it; as nothing ends, one that finds no place never
    will, so it is withdrawn, and no start is reserved. What is popular is learnt from the pods that have come, anew
    each time that twice as many have. progress: told how many pods are decided.
    """
    policy = replace(policy, reservations=0)
    nodes = tuple(Node(node.id, CENTRE, node.capacity) for node in trace.nodes)
    board = Board(Snapshot((Centre(CENTRE, CENTRE),), nodes, (Tenant(TENANT),)), policy)
    popularity = Popularity()
    placed = []
    for number, pod in enumerate(trace.pods):
        demand, now = pod.demand, float(number)
        if (popular := popularity.comes(demand)) is not None:
            board.put_popular(popular)
        board.submit(QueuedJob(f"{number:08}", TENANT, demand, now, LIMIT_S))
        starts = plan_board(board, now, policy).starts
        for start in starts:
            board.start(start.job_id, start.node, now)
        if not starts:
            board.withdraw(f"{number:08}")
        placed.append(bool(starts))
        if progress is not None:
            progress(number + 1)
    return placed


def packed(trace: PodTrace, placed: Sequence[bool]) -> dict[str, float]:
    """How well pods were packed.

    allocation_pct: GPUs given, of all there are, when all pods have asked; requested_pct: GPUs asked for, of all there
    are (130 % unless the list was cut short). placed_pct: pods that found a place.
    """
    given = sum(pod.requested for pod, found in zip(trace.pods, placed, strict=True) if found)
    return {
        "allocation_pct": 100.0 * given / trace.capacity,
        "requested_pct": 100.0 * sum(pod.requested for pod in trace.pods) / trace.capacity,
        "placed_pct": 100.0 * sum(placed) / len(trace.pods) if trace.pods else 100.0,
    }


def curve(trace: PodTrace, placed: Sequence[bool]) -> list[float]:
    """GPUs given, percent of all there are, when 0, 1, 2 ... percent of all have been asked for.

    As the published tables count it: with the pod by which so much is asked for. Ends with the last whole percent that
    the pods ask for.
    """
    found = [0.0]
    asked = given = 0
    for pod, is_placed in zip(trace.pods, placed, strict=True):
        asked += pod.requested
        given += pod.requested if is_placed else 0
        reached = 100 * asked // trace.capacity
        found += [100.0 * given / trace.capacity] * (reached + 1 - len(found))
    return found
