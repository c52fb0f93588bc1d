"""`make bench`: runs every benchmark of this folder, or those named, and prints each figure beside its bound.

A benchmark is a module `bench_<name>.py` with `run() -> dict`: figure name to {"value", "unit", "bound", "better"}.
`bound` is the least (better "more") or the most (better "less") that is asked for; a miss is printed, never hidden.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def main() -> int:
    """Runs the benchmarks; exit code 1 when a bound is missed."""
    names = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(names)}")
    parser.add_argument("--json", type=Path, help="write the figures to a file too")
    chosen = parser.parse_args()
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    figures: dict[str, Any] = {}
    for name in chosen.names or names:
        started = time.monotonic()
        figures[name] = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
        sys.stdout.write(f"\n{name} ({time.monotonic() - started:.0f} s)\n")
        for figure, result in figures[name].items():
            sys.stdout.write(line(figure, result))
        sys.stdout.flush()
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return int(any(is_missed(result) for group in figures.values() for result in group.values()))


def is_missed(result: dict[str, Any]) -> bool:
    """Whether a figure falls short of its bound."""
    bound = result.get("bound")
    if bound is None:
        return False
    return bool(result["value"] < bound if result.get("better", "more") == "more" else result["value"] > bound)


def line(figure: str, result: dict[str, Any]) -> str:
    """One line of the report."""
    bound = result.get("bound")
    asked = "" if bound is None else f"  asked {'>=' if result.get('better', 'more') == 'more' else '<='} {bound:g}"
    verdict = "" if bound is None else ("  MISSED" if is_missed(result) else "  ok")
    note = f"  ({result['note']})" if result.get("note") else ""
    return f"  {figure:<58} {result['value']:>12,.3f} {result.get('unit', ''):<8}{asked}{verdict}{note}\n"


if __name__ == "__main__":
    sys.exit(main())
