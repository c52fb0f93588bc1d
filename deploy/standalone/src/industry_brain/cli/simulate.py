"""`brain simulate`: what a policy would have done with recorded jobs, beside a plain reference."""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from industry_brain.cli.output import show

if TYPE_CHECKING:
    from compute_scheduler.domain.simulation.jobs import Trace

POLICY_NAMES = ("default", "easy", "fair-share", "fcfs", "short-first")


@click.command()
@click.option(
    "--trace",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="作业日志 the log; may be gzipped",
)
@click.option("--format", "form", type=click.Choice(["swf"]), default="swf", show_default=True, help="日志格式")
@click.option("--policy", "name", type=click.Choice(POLICY_NAMES), default="default", show_default=True, help="策略")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="0 原样回放 as recorded; else shakes submissions")
@click.option("--limit", type=click.IntRange(min=1), help="只取前 N 个作业 only the first N jobs")
@click.option("--processors", type=click.IntRange(min=1), help="机器的处理器数 of the machine; default of the log")
@click.option("--json", "as_json", is_flag=True, help="机器可读 print JSON")
def simulate(
    path: Path, form: str, name: str, seed: int, limit: int | None, processors: int | None, as_json: bool
) -> None:
    """策略试算 replays a job log through the scheduler's own plan, and through EASY backfilling for comparison.

    The log is in the Standard Workload Format (SWF) of the Parallel Workloads Archive.
    """
    from compute_scheduler.domain.simulation.easy import easy
    from compute_scheduler.domain.simulation.policies import POLICIES
    from compute_scheduler.domain.simulation.run import simulate as replay
    from compute_scheduler.domain.simulation.swf import BadTrace, read_swf

    try:
        trace = read_swf(path.name, _lines(path), processors, limit, seed)
    except (BadTrace, OSError, EOFError, zlib.error) as error:
        raise click.BadParameter(f"{path.name}: {error}", param_hint="--trace") from None
    with click.progressbar(length=len(trace.jobs), label=name, file=sys.stderr) as bar:
        metrics = _measured(trace, lambda: replay(trace, POLICIES[name], lambda done: bar.update(done - bar.pos)))
    report = {
        "trace": path.name,
        "policy": name,
        "seed": seed,
        "jobs": len(trace.jobs),
        "metrics": metrics,
        "reference": {"name": "EASY", "metrics": _measured(trace, lambda: easy(trace))},
    }
    if as_json:
        show(report, True)
        return
    click.echo(f"{trace.name}: {len(trace.jobs)} 个作业 jobs, {trace.processors} 个处理器 processors")
    show(list(_rows(name, report)), False)


def _measured(trace: Trace, schedule: Callable[[], Sequence[float]]) -> dict[str, float]:
    """The metrics of a schedule and how fast it was made."""
    from compute_scheduler.domain.simulation.jobs import metrics

    started = time.perf_counter()
    starts = schedule()
    took = max(time.perf_counter() - started, 1e-9)
    return {**metrics(trace, starts), "decisions_per_s": len(trace.jobs) / took}


def _lines(path: Path) -> Iterator[str]:
    how: dict[str, Any] = {"mode": "rt", "encoding": "utf-8", "errors": "replace"}
    with gzip.open(path, **how) if path.suffix == ".gz" else path.open(**how) as file:
        yield from file


def _rows(policy: str, report: dict[str, Any]) -> Iterator[dict[str, str]]:
    """One row a metric: the policy, EASY and the ratio of the two."""
    plain = report["reference"]["metrics"]
    for metric, value in report["metrics"].items():
        ratio = f"{value / plain[metric]:.3f}" if plain[metric] else "-"
        yield {"metric": metric, policy: f"{value:,.2f}", "EASY": f"{plain[metric]:,.2f}", "ratio": ratio}
