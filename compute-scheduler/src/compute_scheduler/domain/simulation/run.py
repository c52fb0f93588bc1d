"""Replays a trace through the unchanged plan."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.fairshare import accrued
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.simulation.jobs import Trace, TraceJob
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, Snapshot, Tenant, Usage

NODE, CENTRE = "machine", "centre"


def simulate(trace: Trace, policy: Policy, progress: Callable[[int], None] | None = None) -> list[float]:
    """The start of each job, in the order of the trace, when `plan` decides at each arrival and each end.

    The machine is one node whose processors are cores; each user is a tenant whose usage is kept as the service does.
    progress: told how many jobs have started.
    """
    tenants = tuple(Tenant(name) for name in sorted({job.tenant for job in trace.jobs}))
    machine = Node(NODE, CENTRE, resources(trace.processors, 0))
    board = Board(Snapshot((Centre(CENTRE, CENTRE),), (machine,), tenants), policy)
    places = {job.id: place for place, job in enumerate(trace.jobs)}
    starts = [0.0] * len(trace.jobs)
    ends: list[tuple[float, str]] = []
    coming = started = 0
    while coming < len(trace.jobs) or ends:
        arrival = trace.jobs[coming].submitted_at if coming < len(trace.jobs) else float("inf")
        now = min(arrival, ends[0][0] if ends else float("inf"))
        while ends and ends[0][0] <= now:
            _end(board, heappop(ends)[1], now, policy)
        while coming < len(trace.jobs) and trace.jobs[coming].submitted_at <= now:
            board.submit(_queued(trace.jobs[coming]))
            coming += 1
        for start in plan_board(board, now, policy).starts:
            board.start(start.job_id, start.node, now)
            job = trace.jobs[places[start.job_id]]
            starts[places[job.id]] = now
            heappush(ends, (now + job.run_s, job.id))
            started += 1
        if progress is not None:
            progress(started)
    return starts


def _queued(job: TraceJob) -> QueuedJob:
    return QueuedJob(job.id, job.tenant, resources(job.processors, 0), job.submitted_at, job.time_limit_s)


def _end(board: Board, job_id: str, now: float, policy: Policy) -> None:
    job = board.end(job_id)
    if policy.fair_share_s:
        usage = board.usages.get(job.tenant) or Usage(job.tenant, job.started_at)
        board.put_usage(accrued(usage, job.demand, job.started_at, now, policy.half_life_s))
