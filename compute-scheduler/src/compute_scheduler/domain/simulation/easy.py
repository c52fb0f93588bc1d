"""EASY backfilling as published (Lifka 1995; Mu'alem and Feitelson 2001), on its own: what policies are held against.

It shares nothing with the plan, so that one can check the other: with all weights at zero both give the same schedule.
With several centres each has its own queue of the jobs whose home it is; a centre whose queue is empty pulls the oldest
waiting job of another that fits (late binding).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from compute_scheduler.domain.simulation.jobs import Served, Trace, TraceJob


class _Centre:
    """A centre with its queue (numbers of jobs) and what runs there: (end by the limit, processors)."""

    def __init__(self, processors: int) -> None:
        self.free = processors
        self.queue: deque[int] = deque()
        self.running: dict[int, tuple[float, int]] = {}


def easy(trace: Trace) -> list[Served]:
    """When and where each job starts: first come first served; a later job passes when it does not delay the first.

    The first waiting job of a centre is promised the time at which, by the time limits of what runs there, enough
    processors are free. Another starts when it fits and either ends by then or needs only processors that the first
    leaves over.
    """
    served = [Served(0.0)] * len(trace.jobs)
    centres = {name: _Centre(processors) for name, processors in sorted(trace.centres.items())}
    ends: list[tuple[float, int]] = []
    coming = 0

    def start(number: int, name: str, now: float) -> None:
        job, centre = trace.jobs[number], centres[name]
        staging_s = trace.staging_s if name != job.home else 0.0
        served[number] = Served(now, name)
        centre.free -= job.processors
        centre.running[number] = (now + staging_s + job.time_limit_s, job.processors)
        heappush(ends, (now + staging_s + job.run_s, number))

    while coming < len(trace.jobs) or ends:
        arrival = trace.jobs[coming].submitted_at if coming < len(trace.jobs) else float("inf")
        now = min(arrival, ends[0][0] if ends else float("inf"))
        while ends and ends[0][0] <= now:
            number = heappop(ends)[1]
            centre = centres[served[number].centre]
            centre.free += centre.running.pop(number)[1]
        while coming < len(trace.jobs) and trace.jobs[coming].submitted_at <= now:
            centres[trace.jobs[coming].home].queue.append(coming)
            coming += 1
        for name, centre in centres.items():
            for number in _startable(centre, trace.jobs, now):
                start(number, name, now)
        for number, name in _pulled(centres, trace.jobs):
            start(number, name, now)
    return served


def _startable(centre: _Centre, jobs: tuple[TraceJob, ...], now: float) -> list[int]:
    """Takes the jobs that start now out of a centre's queue."""
    chosen: list[int] = []
    queue, free = centre.queue, centre.free
    while queue and jobs[queue[0]].processors <= free:
        chosen.append(queue.popleft())
        free -= jobs[chosen[-1]].processors
    if not queue or not free:
        return chosen
    held = [*centre.running.values(), *((now + jobs[n].time_limit_s, jobs[n].processors) for n in chosen)]
    promised, spare = _promise(held, free, jobs[queue[0]].processors)
    left = [queue.popleft()]
    while queue:
        number = queue.popleft()
        job = jobs[number]
        ends_in_time = now + job.time_limit_s <= promised
        if job.processors <= free and (ends_in_time or job.processors <= spare):
            chosen.append(number)
            free -= job.processors
            spare -= 0 if ends_in_time else job.processors
        else:
            left.append(number)
    queue.extend(left)
    return chosen


def _promise(held: list[tuple[float, int]], free: int, needed: int) -> tuple[float, int]:
    """When the first waiting job can start, and how many processors it leaves over then."""
    for end in sorted({end for end, _ in held}):
        then = free + sum(processors for other, processors in held if other <= end)
        if then >= needed:
            return end, then - needed
    return float("inf"), 0


def _pulled(centres: dict[str, _Centre], jobs: tuple[TraceJob, ...]) -> list[tuple[int, str]]:
    """Takes waiting jobs out of other queues for centres that have none of their own."""
    chosen: list[tuple[int, str]] = []
    idle = [name for name, centre in centres.items() if centre.free and not centre.queue]
    waiting = sorted(number for centre in centres.values() for number in centre.queue) if idle else []
    for name in idle:
        free = centres[name].free
        for number in list(waiting):
            if jobs[number].processors <= free:
                free -= jobs[number].processors
                waiting.remove(number)
                centres[jobs[number].home].queue.remove(number)
                chosen.append((number, name))
    return chosen
