"""Carbon and delay of ten clusters that share their work: the policy `carbon` against the carbon-blind pull, same run.

ElasticFlow logs and hourly carbon intensities of 2022 lie beside the repository (`shared/traces`) or in $BRAIN_TRACES.
Assumptions, as the logs do not tell them: the size of the clusters (60 and 80 % load by their own jobs), 600 s of
staging for a job that does not run at home, 400 W a card, and the zones: the largest cluster in the cleanest. All cards
count from start to end of their job, staging included. `BRAIN_BENCH_WHOLE=1` adds 95 % load, three seeds that shake the
submissions, and other seasons and zones, where there is less or no clean room to move to.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from compute_scheduler.domain.hourly import Hourly, read_hourly
from compute_scheduler.domain.simulation.easy import easy
from compute_scheduler.domain.simulation.elasticflow import read_elasticflow
from compute_scheduler.domain.simulation.jobs import Served, Trace, metrics
from compute_scheduler.domain.simulation.policies import POLICIES
from compute_scheduler.domain.simulation.run import simulate
from compute_scheduler.domain.simulation.zones import with_carbon

TRACES = Path(os.environ.get("BRAIN_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
SEASON_H = 2160


def run() -> dict[str, Any]:
    """CO2 and delay at 60 % load, delay at 80 % load; more on request."""
    figures = _pair("60 % load", _trace(0.6), {"co2": 30.0, "moved": 63.0})
    figures |= _pair("80 % load", _trace(0.8), {"delay": 990.0})
    if os.environ.get("BRAIN_BENCH_WHOLE") == "1":
        figures |= _pair("95 % load", _trace(0.95), {})
        for seed in (1, 2, 3):
            figures |= _pair(f"60 % load, seed {seed}", _trace(0.6, seed), {"co2": 30.0, "moved": 63.0})
        for number in (1, 2, 3):
            figures |= _pair(f"60 % load, from quarter {number + 1}", _trace(0.6, later_h=number * SEASON_H), {})
        zones = list(_series())
        named = {f"cluster{n:02}": zones[(n - 1) % len(zones)] for n in range(1, 11)}
        figures |= _pair("60 % load, zones in the order of names", _trace(0.6, where=named), {})
    return figures


def _series(later_h: int = 0) -> dict[str, Hourly]:
    path = TRACES / "carbon" / "us_grid_avg_carbon_intensity_2022.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        zones = read_hourly(file)
    return {
        zone: Hourly(series.start_at, series.values[later_h:] + series.values[:later_h])
        for zone, series in zones.items()
    }


def _trace(load: float, seed: int = 0, later_h: int = 0, where: Mapping[str, str] | None = None) -> Trace:
    with tarfile.open(TRACES / "elasticflow" / "raw-traces.tar.gz") as archive:
        clusters = {Path(name).stem: lines for name, lines in _members(archive)}
    return with_carbon(read_elasticflow("elasticflow", clusters, load, seed=seed), _series(later_h), where)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, list[str]]]:
    for member in archive.getmembers():
        file = archive.extractfile(member) if member.name.endswith(".csv") else None
        if file is not None:
            yield member.name, file.read().decode().splitlines()


def _pair(label: str, trace: Trace, bounds: Mapping[str, float]) -> dict[str, Any]:
    at_home = [Served(job.submitted_at, job.home) for job in trace.jobs]
    ours, pull = metrics(trace, simulate(trace, POLICIES["carbon"])), metrics(trace, easy(trace))
    less = {"better": "less"}
    return {
        f"{label}: each at home, never waiting": {"value": metrics(trace, at_home)["co2_kg"] / 1000, "unit": "t CO2"},
        f"{label}: pull": {"value": pull["co2_kg"] / 1000, "unit": "t CO2"},
        f"{label}: less than the pull": {
            "value": 100 - 100 * ours["co2_kg"] / pull["co2_kg"],
            "unit": "%",
            "bound": bounds.get("co2"),
        },
        f"{label}: jobs moved, pull": {"value": pull["moved_pct"], "unit": "%"},
        f"{label}: jobs moved": {"value": ours["moved_pct"], "unit": "%", "bound": bounds.get("moved"), **less},
        f"{label}: mean delay, pull": {"value": pull["mean_delay_s"], "unit": "s"},
        f"{label}: mean delay": {"value": ours["mean_delay_s"], "unit": "s", "bound": bounds.get("delay"), **less},
    }
