"""Logs in the Standard Workload Format of the Parallel Workloads Archive (Chapin et al. 1999; 18 columns)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from compute_scheduler.domain.simulation.jobs import MACHINE, BadTrace, Trace, TraceJob
from compute_scheduler.domain.simulation.shaking import shaken


def read_swf(
    name: str, lines: Iterable[str], processors: int | None = None, limit: int | None = None, seed: int = 0
) -> Trace:
    """The jobs of a log, as they can be replayed.

    processors: of the machine; None takes `MaxProcs` of the header, else the most that a job asks for.
    limit: only the first jobs. Jobs that did not run or ask for more than the machine has are left out. A job without
    requested time is taken to have asked for the time that it ran; one that ran longer is stopped at its limit.
    seed: 0 replays the log as it is; any other shakes each submission by up to a minute (input shaking, Tsafrir and
    Feitelson 2006), so that several seeds show how far a result is chance. Raises BadTrace.
    """
    header: int | None = None
    jobs: list[TraceJob] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(";"):
            key, _, value = text.lstrip("; ").partition(":")
            if key.strip() == "MaxProcs" and value.split():
                header = _whole(number, "MaxProcs", value.split()[0])
        elif text:
            job = _job(number, text)
            if job is not None:
                jobs.append(job)
    size = processors or header or max((job.processors for job in jobs), default=0)
    kept = sorted((job for job in jobs if job.processors <= size), key=lambda job: (job.submitted_at, job.id))[:limit]
    if not kept:
        raise BadTrace("the log holds no job that ran and fits on the machine")
    return Trace(name, {MACHINE: size}, tuple(shaken(kept, seed)))


def _job(number: int, text: str) -> TraceJob | None:
    fields = text.split()
    if len(fields) < 18:
        raise BadTrace(f"line {number}: a line of the Standard Workload Format has 18 columns, this has {len(fields)}")
    try:
        number_of_job, user = int(fields[0]), int(fields[11])
        submitted, run, requested = (float(fields[at]) for at in (1, 3, 8))
        allocated, asked = int(fields[4]), int(fields[7])
    except ValueError as error:
        raise BadTrace(f"line {number}: {error}") from None
    if not math.isfinite(submitted + run + requested):
        raise BadTrace(f"line {number}: a time is not finite")
    processors = asked if asked > 0 else allocated
    if run <= 0 or processors <= 0:
        return None
    limit = requested if requested > 0 else run
    return TraceJob(f"{number_of_job:08}", f"user-{user}", submitted, min(run, limit), limit, processors)


def _whole(number: int, name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadTrace(f"line {number}: {name} is no number: {value}") from None
