"""Input shaking (Tsafrir and Feitelson 2006): whether a result hangs on the seconds at which jobs happened to come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from compute_scheduler.domain.simulation.jobs import TraceJob

SHAKE_S = 60.0


def shaken(jobs: Sequence[TraceJob], seed: int) -> list[TraceJob]:
    """The jobs in order of submission, each up to a minute later; seed 0 leaves them as they are."""
    if seed:
        rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        jobs = [replace(job, submitted_at=job.submitted_at + rng.uniform(0.0, SHAKE_S)) for job in jobs]
    return sorted(jobs, key=lambda job: (job.submitted_at, job.id))
