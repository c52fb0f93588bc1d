"""The lives of `crashing.py` as a test asks for them, and what they have left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLUSTER, WINDOW = "cluster:", "window:"


@dataclass(frozen=True)
class Lived:
    """died: [point, exit code or minus the signal] of each life. ran: how often each job began. said: of errors."""

    died: list[list[Any]]
    jobs: list[dict[str, Any]]
    ran: Counter[str]
    said: str


def points(kind: str) -> list[str]:
    """Every point that the code names: of engines with a queue of their own (`cluster:`), of reservations (`window:`),
    or all others ("").
    """
    source = ROOT / "compute-scheduler/src/compute_scheduler"
    found: set[str] = set()
    for path in source.rglob("*.py"):
        found |= set(re.findall(r'steps\.reached\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    kinds = {point: next((one for one in (CLUSTER, WINDOW) if point.startswith(one)), "") for point in found}
    return sorted(point for point in found if kinds[point] == kind)


def live(
    folder: Path, lives: Sequence[tuple[str, int]], *, jobs: int, engine: Mapping[str, Any] | None = None
) -> Lived:
    """One home below the folder, one life after the other, and a last one in peace. jobs: how many each submits."""
    proof = folder / "proof"
    proof.mkdir()
    plan = {"home": str(folder / "home"), "proof": str(proof), "points": [*map(list, lives)], "jobs": jobs}
    line = [sys.executable, "-m", "tests.compute_scheduler.crashing", json.dumps(plan | {"engine": engine})]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=900 * max(1, len(lives) // 10))
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    ran = (proof / "ran").read_text().split() if (proof / "ran").exists() else []
    return Lived(told["died"], told["jobs"], Counter(ran), done.stderr[-2000:])
