"""Replays a trace through the unchanged plan."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.fairshare import accrued
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.simulation.costs import Costs
from compute_scheduler.domain.simulation.jobs import Served, Trace, TraceJob
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, Snapshot, Tenant, Usage


def simulate(trace: Trace, policy: Policy, progress: Callable[[int], None] | None = None) -> list[Served]:
    """When and where each job starts, in the order of the trace, when `plan` decides at each arrival and each end.

    A centre is one node whose processors are cores; each user is a tenant whose usage is kept as the service does. With
    several centres a job may start in any, at home first; its limit is told with the staging that it may need.
    progress: told how many jobs have started.
    """
    board = _board(trace, policy)
    places = {job.id: place for place, job in enumerate(trace.jobs)}
    served = [Served(0.0)] * len(trace.jobs)
    ends: list[tuple[float, str]] = []
    coming = started = 0
    while coming < len(trace.jobs) or ends:
        arrival = trace.jobs[coming].submitted_at if coming < len(trace.jobs) else float("inf")
        now = min(arrival, ends[0][0] if ends else float("inf"))
        while ends and ends[0][0] <= now:
            _end(board, heappop(ends)[1], now, policy)
        while coming < len(trace.jobs) and trace.jobs[coming].submitted_at <= now:
            board.submit(_queued(trace.jobs[coming], trace.staging_s))
            coming += 1
        for start in plan_board(board, now, policy).starts:
            board.start(start.job_id, start.node, now)
            job = trace.jobs[places[start.job_id]]
            served[places[job.id]] = Served(now, start.centre)
            staging_s = trace.staging_s if start.centre != job.home else 0.0
            heappush(ends, (now + staging_s + job.run_s, job.id))
            started += 1
        if progress is not None:
            progress(started)
    return served


def _board(trace: Trace, policy: Policy) -> Board:
    """The centres, empty."""
    centres = tuple(_centre(name, trace.costs.get(name, Costs())) for name in trace.centres)
    nodes = tuple(Node(name, name, resources(processors, 0)) for name, processors in trace.centres.items())
    tenants = tuple(Tenant(name) for name in sorted({job.tenant for job in trace.jobs}))
    return Board(Snapshot(centres, nodes, tenants), policy)


def _centre(name: str, costs: Costs) -> Centre:
    prices = {} if costs.price is None else {"cores": costs.price}
    power_w = {} if costs.power_w is None else {"cores": costs.power_w}
    return Centre(name, name, prices=prices, power_w=power_w, electricity=costs.electricity, carbon=costs.carbon)


def _queued(job: TraceJob, staging_s: float) -> QueuedJob:
    demand, limit_s = resources(job.processors, 0), job.time_limit_s + staging_s
    return QueuedJob(job.id, job.tenant, demand, job.submitted_at, limit_s, home=job.home, staging_s=staging_s)


def _end(board: Board, job_id: str, now: float, policy: Policy) -> None:
    job = board.end(job_id)
    if policy.fair_share_s:
        usage = board.usages.get(job.tenant) or Usage(job.tenant, job.started_at)
        board.put_usage(accrued(usage, job.demand, job.started_at, now, policy.half_life_s))
