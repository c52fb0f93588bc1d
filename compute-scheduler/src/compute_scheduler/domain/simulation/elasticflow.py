"""Logs of several clusters in the columns of ElasticFlow (Gu et al., ASPLOS 2023): one CSV a cluster.

Columns used: job_id, submission_time, duration (seconds), num_gpu. The logs do not say how large the clusters are, so
each is given the processors with which its own jobs would load it by a stated part. That is an assumption.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping

from compute_scheduler.domain.simulation.jobs import BadTrace, Trace, TraceJob
from compute_scheduler.domain.simulation.shaking import shaken

COLUMNS = ("job_id", "submission_time", "duration", "num_gpu")


def read_elasticflow(
    name: str,
    clusters: Mapping[str, Iterable[str]],
    load: float = 0.8,
    staging_s: float = 600.0,
    limit: int | None = None,
    seed: int = 0,
) -> Trace:
    """The jobs of all clusters; each cluster is a centre, the home of its jobs, and a tenant.

    load: part of its time that each centre would be busy with its own jobs between the first and the last submission of
    all; no centre is smaller than its largest job. limit: only the first jobs of all clusters together (the sizes are
    those for these). staging_s: see `Trace`. Run times are taken as known. Raises BadTrace.
    """
    found: list[TraceJob] = []
    for cluster, lines in clusters.items():
        found += _read(cluster, lines, len(found))
    jobs = sorted(found, key=lambda job: (job.submitted_at, job.id))[:limit]
    if not jobs:
        raise BadTrace("the logs hold no job that ran")
    span_s = max(jobs[-1].submitted_at - jobs[0].submitted_at, 1.0)
    centres = {
        cluster: _size([job for job in jobs if job.home == cluster], span_s * load)
        for cluster in sorted({job.home for job in jobs})
    }
    return Trace(name, centres, tuple(shaken(jobs, seed)), staging_s if len(centres) > 1 else 0.0)


def _read(cluster: str, lines: Iterable[str], before: int) -> list[TraceJob]:
    rows = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
    if missing:
        raise BadTrace(f"{cluster}: columns are missing: {', '.join(missing)}")
    jobs: list[TraceJob] = []
    for row in rows:
        try:
            submitted, run_s, processors = float(row["submission_time"]), float(row["duration"]), int(row["num_gpu"])
        except (TypeError, ValueError) as error:
            raise BadTrace(f"{cluster}, line {rows.line_num}: {error}") from None
        if run_s > 0 and processors > 0 and math.isfinite(submitted + run_s):
            number = f"{before + len(jobs):08}"
            jobs.append(TraceJob(number, cluster, submitted, run_s, run_s, processors, cluster))
    return jobs


def _size(jobs: list[TraceJob], busy_s: float) -> int:
    """Processors with which the jobs fill the time."""
    work = sum(job.run_s * job.processors for job in jobs)
    return max(math.ceil(work / busy_s), *(job.processors for job in jobs))
