"""Pod lists of the openb family through the plan, at 130 % demand, against FGD published and in the same run.

The lists lie beside the repository (`shared/traces`) or in $BRAIN_TRACES. Each list is packed with two seeds, with
BRAIN_BENCH_WHOLE=1 with ten and the lists without published figures too. Bounds: the published mean of FGD minus 0.1
on each list, 95.6 on `default`; where nothing is published, the mean of FGD here. Ten seeds of all twenty lists take
some twenty minutes of one core; each is told as it is done.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compute_scheduler.domain.simulation.fgd import fgd
from compute_scheduler.domain.simulation.openb import PodTrace, read_openb
from compute_scheduler.domain.simulation.packing import pack, packed
from compute_scheduler.domain.simulation.policies import POLICIES

TRACES = Path(os.environ.get("BRAIN_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
NODES, PREFIX = "openb_node_list_gpu_node.csv.gz", "openb_pod_list_"
# Of Student's t at 97.5 %, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262}
COPIES, DEFAULT_BOUND, SLACK = 8, 95.6, 0.1


def run() -> dict[str, Any]:
    """Allocation of each list, and the speed on 1,213 and 9,704 nodes."""
    is_whole = os.environ.get("BRAIN_BENCH_WHOLE") == "1"
    known = published()
    names = sorted(
        path.name.removeprefix(PREFIX).removesuffix(".csv.gz") for path in (TRACES / "openb").glob(f"{PREFIX}*.csv.gz")
    )
    figures: dict[str, Any] = {}
    rates: list[float] = []
    for name in [name for name in names if is_whole or name in known]:
        figures |= _list(name, 10 if is_whole else 2, known.get(name), rates)
    figures["decisions, 1,213 nodes, mean over the lists"] = {"value": statistics.mean(rates), "unit": "1/s"}
    return figures | _large()


def published() -> dict[str, float]:
    """Mean allocation at 130 % of FGD over ten seeds, by list."""
    found: dict[str, list[float]] = {}
    with gzip.open(TRACES / "openb-published" / "analysis_allo_discrete.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["sc_policy"].endswith("FGD"):
                found.setdefault(row["workload"].removeprefix(PREFIX), []).append(float(row["130"]))
    return {name: statistics.mean(values) for name, values in found.items()}


def _list(name: str, seeds: int, known: float | None, rates: list[float]) -> dict[str, Any]:
    ours, theirs = [], []
    for seed in range(seeds):
        trace = read_openb(name, _lines(f"{PREFIX}{name}.csv.gz"), NODES, _lines(NODES), seed=seed)
        started = time.perf_counter()
        ours.append(_allocation(trace, pack(trace, POLICIES["default"])))
        rates.append(len(trace.pods) / (time.perf_counter() - started))
        theirs.append(_allocation(trace, fgd(trace)))
        sys.stdout.write(f"  {name}, seed {seed}: {ours[-1]:.2f} %, FGD {theirs[-1]:.2f} %\n")
        sys.stdout.flush()
    bound = statistics.mean(theirs) if known is None else known - SLACK
    beside = "" if known is None else f", published {known:.2f}"
    return {
        f"{name}: allocation, {seeds} seeds": {
            "value": statistics.mean(ours),
            "unit": "%",
            "bound": max(bound, DEFAULT_BOUND) if name == "default" else bound,
            "note": f"95 % CI +- {_half_width(ours):.2f}; FGD here {statistics.mean(theirs):.2f}{beside}",
        }
    }


def _large() -> dict[str, Any]:
    """Decisions a second on eight copies of the nodes, for the first 20,000 pods."""
    header, *rows = _lines(NODES)
    nodes = [header, *(f"{copy}-{row}" for copy in range(COPIES) for row in rows)]
    trace = read_openb("default", _lines(f"{PREFIX}default.csv.gz"), NODES, nodes, seed=0)
    trace = PodTrace(trace.name, trace.nodes, trace.pods[:20_000], trace.listed)
    started = time.perf_counter()
    pack(trace, POLICIES["default"])
    rate = len(trace.pods) / (time.perf_counter() - started)
    return {"decisions, 9,704 nodes, first 20,000 pods": {"value": rate, "unit": "1/s", "bound": 2000}}


def _allocation(trace: PodTrace, placed: Sequence[bool]) -> float:
    return packed(trace, placed)["allocation_pct"]


def _half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the mean."""
    return STUDENT[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def _lines(name: str) -> list[str]:
    with gzip.open(TRACES / "openb" / name, "rt", encoding="utf-8") as file:
        return file.read().splitlines()
