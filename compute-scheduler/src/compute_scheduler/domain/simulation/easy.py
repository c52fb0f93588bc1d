"""EASY backfilling as published (Lifka 1995; Mu'alem and Feitelson 2001), on its own: what a policy is measured
against.

It shares nothing with the plan, so that one can check the other: with all weights at zero both give the same schedule.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from compute_scheduler.domain.simulation.jobs import Trace, TraceJob


def easy(trace: Trace) -> list[float]:
    """The start of each job: first come first served; a later job passes when it does not delay the first.

    The first waiting job is promised the time at which, by the time limits of what runs, enough processors are free.
    Another starts when it fits and either ends by then or needs only processors that the first leaves over.
    """
    starts = [0.0] * len(trace.jobs)
    ends: list[tuple[float, int]] = []
    running: dict[int, tuple[float, int]] = {}
    queue: deque[int] = deque()
    free = trace.processors
    coming = 0
    while coming < len(trace.jobs) or ends:
        arrival = trace.jobs[coming].submitted_at if coming < len(trace.jobs) else float("inf")
        now = min(arrival, ends[0][0] if ends else float("inf"))
        while ends and ends[0][0] <= now:
            free += running.pop(heappop(ends)[1])[1]
        while coming < len(trace.jobs) and trace.jobs[coming].submitted_at <= now:
            queue.append(coming)
            coming += 1
        for number in _startable(queue, trace.jobs, running, free, now):
            job = trace.jobs[number]
            starts[number] = now
            free -= job.processors
            running[number] = (now + job.time_limit_s, job.processors)
            heappush(ends, (now + job.run_s, number))
    return starts


def _startable(
    queue: deque[int], jobs: tuple[TraceJob, ...], running: dict[int, tuple[float, int]], free: int, now: float
) -> list[int]:
    """Takes the jobs that start now out of the queue."""
    chosen: list[int] = []
    while queue and jobs[queue[0]].processors <= free:
        chosen.append(queue.popleft())
        free -= jobs[chosen[-1]].processors
    if not queue or not free:
        return chosen
    held = [*running.values(), *((now + jobs[number].time_limit_s, jobs[number].processors) for number in chosen)]
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
