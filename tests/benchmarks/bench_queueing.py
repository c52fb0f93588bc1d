"""Recorded logs replayed through the plan, against EASY backfilling in the same run.

The logs of the Parallel Workloads Archive lie beside the repository (`shared/traces`) or in $BRAIN_TRACES. KTH-SP2 is
replayed whole; of SDSC-BLUE the first 40,000 jobs, or all with BRAIN_BENCH_WHOLE=1. ElasticFlow: ten clusters as
centres whose size is an assumption (80 % load by their own jobs), 600 s of staging for a job that does not run at home,
against a plain pull by idle centres.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from pathlib import Path
from typing import IO, Any, cast

from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.elasticflow import read_elasticflow
from compute_scheduler.domain.simulation.jobs import metrics
from compute_scheduler.domain.simulation.policies import POLICIES
from compute_scheduler.domain.simulation.run import simulate
from compute_scheduler.domain.simulation.swf import read_swf

TRACES = Path(os.environ.get("BRAIN_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
LOGS = {"KTH-SP2-1996-2.1-cln.swf.gz": None, "SDSC-BLUE-2000-4.2-cln.swf.gz": 40_000}


def run() -> dict[str, Any]:
    """Slowdown, utilisation and longest wait of the policy `short-first` beside EASY."""
    figures: dict[str, Any] = {}
    for name, limit in LOGS.items():
        whole = os.environ.get("BRAIN_BENCH_WHOLE") == "1"
        with gzip.open(TRACES / "swf" / name, "rt", encoding="utf-8", errors="replace") as file:
            trace = read_swf(name, file, limit=None if whole else limit)
        started = time.perf_counter()
        ours = metrics(trace, simulate(trace, POLICIES["short-first"]))
        took = time.perf_counter() - started
        plain = metrics(trace, easy(trace))
        label = name.partition("-")[0] + f", {len(trace.jobs):,} jobs"
        figures |= _figures(label, ours, plain)
        figures[f"{label}: jobs replayed"] = {"value": len(trace.jobs) / took, "unit": "1/s"}
    return figures | _federation()


def _federation() -> dict[str, Any]:
    with tarfile.open(TRACES / "elasticflow" / "raw-traces.tar.gz") as archive:
        clusters = {
            Path(member.name).stem: io.TextIOWrapper(cast("IO[bytes]", archive.extractfile(member)), encoding="utf-8")
            for member in archive.getmembers()
            if member.name.endswith(".csv")
        }
        trace = read_elasticflow("elasticflow", clusters)
    ours, plain = metrics(trace, simulate(trace, POLICIES["short-first"])), metrics(trace, easy(trace))
    label = f"ElasticFlow, {len(trace.jobs):,} jobs"
    return {
        f"{label}: mean delay, plain pull": {"value": plain["mean_delay_s"], "unit": "s"},
        f"{label}: mean delay": {"value": ours["mean_delay_s"], "unit": "s", "bound": 990, "better": "less"},
        f"{label}: jobs moved": {"value": ours["moved_pct"], "unit": "%"},
    }


def _figures(label: str, ours: dict[str, float], plain: dict[str, float]) -> dict[str, Any]:
    slowdown, wait = "mean_bounded_slowdown", "longest_wait_s"
    return {
        f"{label}: mean bounded slowdown, EASY": {"value": plain[slowdown], "unit": ""},
        f"{label}: mean bounded slowdown / EASY": {
            "value": ours[slowdown] / plain[slowdown],
            "unit": "ratio",
            "bound": 0.6,
            "better": "less",
        },
        f"{label}: utilisation - EASY": {
            "value": ours["utilisation"] - plain["utilisation"],
            "unit": "points",
            "bound": -0.5,
        },
        f"{label}: longest wait / EASY": {
            "value": ours[wait] / plain[wait],
            "unit": "ratio",
            "bound": 1.2,
            "better": "less",
        },
    }
