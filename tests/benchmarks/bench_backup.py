"""Backup and restoration of a home folder with 1 GB of objects, against tar and untar of the same files.

Both write to the same disk and both are forced to it: tar is followed by a sync of what it wrote.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brain_kit.objects import open_store
from brain_testing.process import PlatformProcess
from industry_brain.backup.restoring import restore
from industry_brain.backup.taking import back_up
from industry_brain.backup.verifying import verify

FILES, FILE_BYTES = 64, 16 << 20
ROUNDS = 3


def run() -> dict[str, Any]:
    """Best of three rounds each, reference and product in turn."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BRAIN_BENCH_DIR")) as folder:
        work = Path(folder)
        home = work / "home"
        with PlatformProcess(home):
            pass
        store = open_store("", home)
        for number in range(FILES):
            store.put(f"tables/bench/data/{number}.parquet", os.urandom(FILE_BYTES))
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
        times: dict[str, list[float]] = {"tar": [], "backup": [], "untar": [], "restore": [], "verify": []}
        for number in range(ROUNDS):
            _round(work, home, number, times)
    best = {name: min(values) for name, values in times.items()}
    note = f"{size / 1e9:.2f} GB: %s %.2f s, %s %.2f s, best of {ROUNDS}, both forced to disk"
    return {
        "backup, share of tar's speed": {
            "value": best["tar"] / best["backup"],
            "unit": "x",
            "bound": 0.5,
            "note": note % ("backup", best["backup"], "tar", best["tar"]),
        },
        "restore, share of untar's speed": {
            "value": best["untar"] / best["restore"],
            "unit": "x",
            "bound": 0.5,
            "note": note % ("restore", best["restore"], "untar", best["untar"]),
        },
        "verify of the archive and a home": {"value": best["verify"], "unit": "s"},
    }


def _round(work: Path, home: Path, number: int, times: dict[str, list[float]]) -> None:
    tar, archive = work / f"{number}.reference.tar", work / f"{number}.tar"
    plain, restored = work / f"{number}.plain", work / f"{number}.home"
    plain.mkdir()
    times["tar"].append(_timed(lambda: _shell(f"tar cf {tar} -C {home} . && sync {tar}")))
    times["backup"].append(_timed(lambda: back_up(home, archive)))
    times["untar"].append(_timed(lambda: _shell(f"tar xf {tar} -C {plain} && sync")))
    times["restore"].append(_timed(lambda: restore(archive, restored)))
    times["verify"].append(_timed(lambda: _verified(restored, archive)))
    for path in (tar, archive):
        path.unlink()
    for path in (plain, restored):
        shutil.rmtree(path)


def _verified(home: Path, archive: Path) -> None:
    if verify(home, archive)[1]:
        raise RuntimeError("the restored home differs")


def _shell(line: str) -> None:
    subprocess.run(["bash", "-c", line], check=True)


def _timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started
