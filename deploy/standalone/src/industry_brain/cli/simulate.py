"""`brain simulate`: what a policy would have done with recorded jobs, beside a plain reference."""

from __future__ import annotations

import gzip
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from industry_brain.cli.output import show

if TYPE_CHECKING:
    from compute_scheduler.domain.simulation.jobs import Served, Trace
    from compute_scheduler.domain.simulation.openb import PodTrace

POLICY_NAMES = ("best-fit", "carbon", "default", "easy", "fair-share", "fcfs", "short-first")


@click.command()
@click.option(
    "--trace",
    "paths",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    multiple=True,
    help="作业日志 the log, may be gzipped; elasticflow: one a cluster, or a tar of them; openb: the pod list",
)
@click.option("--format", "form", type=click.Choice(["swf", "elasticflow", "openb"]), default="swf", show_default=True)
@click.option("--policy", "name", type=click.Choice(POLICY_NAMES), default="default", show_default=True, help="策略")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="0 原样回放 as recorded; openb: 次序 the order")
@click.option("--limit", type=click.IntRange(min=1), help="只取前 N 个作业 only the first N jobs")
@click.option(
    "--nodes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="openb: 节点表 the node list, may be gzipped",
)
@click.option("--processors", type=click.IntRange(min=1), help="swf: 机器的处理器数 of the machine; default of the log")
@click.option("--load", type=click.FloatRange(0.01, 10.0), default=0.8, show_default=True, help="elasticflow: 负载")
@click.option(
    "--staging", type=click.FloatRange(min=0.0), default=600.0, show_default=True, help="elasticflow: 搬运秒数"
)
@click.option(
    "--carbon",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="elasticflow: 各电网每小时碳强度 CSV hourly gCO2/kWh, a column a zone; may be gzipped",
)
@click.option(
    "--zone",
    "zones",
    multiple=True,
    metavar="CENTRE=ZONE",
    help="elasticflow: 中心所在电网；其余按规模 the rest by size",
)
@click.option(
    "--power", type=click.FloatRange(min=0.0, max=1e5), default=400.0, show_default=True, help="elasticflow: 每卡瓦数"
)
@click.option("--json", "as_json", is_flag=True, help="机器可读 print JSON")
@click.argument("more", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]...")
def simulate(paths: Sequence[Path], more: Sequence[Path], form: str, name: str, as_json: bool, **options: Any) -> None:
    """策略试算 replays a job log through the scheduler's own plan, and through a plain reference for comparison.

    swf: the Standard Workload Format of the Parallel Workloads Archive, against EASY backfilling. elasticflow: logs of
    several GPU clusters that share their work, against a plain pull by idle clusters; with --carbon also their CO2.
    openb: pods that come one by one until they ask for 130 % of the GPUs of --nodes, against published FGD.
    FILE: further logs, as if each had a --trace of its own.
    """
    paths = (*paths, *more)
    if form == "openb":
        _pack(paths, name, as_json, options)
        return
    if options["nodes"]:
        raise click.BadParameter("只用于 only for --format openb", param_hint="--nodes")
    from compute_scheduler.domain.simulation.easy import easy
    from compute_scheduler.domain.simulation.policies import POLICIES
    from compute_scheduler.domain.simulation.run import simulate as replay

    trace = _trace(paths, form, options)
    with click.progressbar(length=len(trace.jobs), label=name, file=sys.stderr) as bar:
        metrics = _measured(trace, lambda: replay(trace, POLICIES[name], lambda done: bar.update(done - bar.pos)))
    reference = "EASY" if len(trace.centres) == 1 else "pull"
    report = {
        "trace": trace.name,
        "policy": name,
        "seed": options["seed"],
        "jobs": len(trace.jobs),
        "metrics": metrics,
        "reference": {"name": reference, "metrics": _measured(trace, lambda: easy(trace))},
    }
    if as_json:
        show(report, True)
        return
    click.echo(f"{trace.name}: {len(trace.jobs)} 个作业 jobs, {trace.processors} 个处理器 processors")
    show(list(_rows(name, report)), False)


def _pack(paths: Sequence[Path], name: str, as_json: bool, options: dict[str, Any]) -> None:
    """The report on a pod list."""
    from compute_scheduler.domain.simulation.fgd import fgd
    from compute_scheduler.domain.simulation.packing import pack, packed
    from compute_scheduler.domain.simulation.policies import POLICIES

    trace = _pods(paths, options)

    def measured(label: str, work: Callable[[Callable[[int], None]], list[bool]]) -> dict[str, float]:
        started = time.perf_counter()
        with click.progressbar(length=len(trace.pods), label=label, file=sys.stderr) as bar:
            placed = work(lambda done: bar.update(done - bar.pos))
        took = max(time.perf_counter() - started, 1e-9)
        return {**packed(trace, placed), "decisions_per_s": len(trace.pods) / took}

    report = {
        "trace": trace.name,
        "policy": name,
        "seed": options["seed"],
        "jobs": len(trace.pods),
        "metrics": measured(name, lambda told: pack(trace, POLICIES[name], told)),
        "reference": {"name": "FGD", "metrics": measured("FGD", lambda told: fgd(trace, told))},
    }
    if as_json:
        show(report, True)
        return
    nodes, gpus = len(trace.nodes), trace.capacity // 1000
    click.echo(f"{trace.name}: {len(trace.pods)} 个 pod, {nodes} 个节点 nodes, {gpus} 张 GPU")
    show(list(_rows(name, report)), False)


def _pods(paths: Sequence[Path], options: dict[str, Any]) -> PodTrace:
    """Reads the pod list and the node list. Raises click.BadParameter that names what is wrong."""
    from compute_scheduler.domain.simulation.jobs import BadTrace
    from compute_scheduler.domain.simulation.openb import read_openb

    nodes: Path | None = options["nodes"]
    if nodes is None:
        raise click.BadParameter("openb 要有节点表 needs the node list", param_hint="--nodes")
    if len(paths) > 1:
        raise click.BadParameter("openb 每次一个 pod 表 takes one pod list at a time", param_hint="--trace")
    try:
        node_lines = list(_lines(nodes))
    except (OSError, EOFError, zlib.error) as error:
        raise click.BadParameter(f"{nodes.name}: {error}", param_hint="--nodes") from None
    pods = paths[0]
    try:
        return read_openb(pods.name, _lines(pods), nodes.name, node_lines, options["limit"], options["seed"])
    except BadTrace as error:
        hint = "--nodes" if str(error).startswith(f"{nodes.name}") else "--trace"
        raise click.BadParameter(str(error), param_hint=hint) from None
    except (OSError, EOFError, zlib.error) as error:
        raise click.BadParameter(f"{pods.name}: {error}", param_hint="--trace") from None


def _trace(paths: Sequence[Path], form: str, options: dict[str, Any]) -> Trace:
    """Reads the log. Raises click.BadParameter that names what is wrong."""
    from compute_scheduler.domain.simulation.elasticflow import read_elasticflow
    from compute_scheduler.domain.simulation.jobs import BadTrace
    from compute_scheduler.domain.simulation.swf import read_swf

    title = "+".join(path.name for path in paths)
    if form == "swf" and options["carbon"]:
        raise click.BadParameter("只用于 only for --format elasticflow", param_hint="--carbon")
    if form == "swf" and len(paths) > 1:
        raise click.BadParameter("swf 每次一个日志 takes one log at a time", param_hint="--trace")
    try:
        if form == "swf":
            return read_swf(title, _lines(paths[0]), options["processors"], options["limit"], options["seed"])
        clusters = dict(item for path in paths for item in _clusters(path))
        trace = read_elasticflow(
            title, clusters, options["load"], options["staging"], options["limit"], options["seed"]
        )
        return _with_carbon(trace, options)
    except (BadTrace, OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise click.BadParameter(f"{title}: {error}", param_hint="--trace") from None


def _with_carbon(trace: Trace, options: dict[str, Any]) -> Trace:
    """The trace with the carbon series that was named. Raises click.BadParameter."""
    from compute_scheduler.domain.hourly import BadSeries, read_hourly
    from compute_scheduler.domain.simulation.zones import with_carbon

    path: Path | None = options["carbon"]
    if path is None:
        return trace
    pairs = [pair.partition("=") for pair in options["zones"]]
    if not all(centre and zone for centre, _, zone in pairs):
        raise click.BadParameter("写作 write CENTRE=ZONE", param_hint="--zone")
    try:
        series = read_hourly(_lines(path))
    except (BadSeries, OSError, EOFError, zlib.error) as error:
        raise click.BadParameter(f"{path.name}: {error}", param_hint="--carbon") from None
    try:
        return with_carbon(trace, series, {centre: zone for centre, _, zone in pairs}, options["power"])
    except BadSeries as error:
        raise click.BadParameter(str(error), param_hint="--zone") from None


def _clusters(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of each cluster: of a CSV file, or of those in a tar."""
    if not tarfile.is_tarfile(path):
        yield path.name.removesuffix(".gz").removesuffix(".csv"), list(_lines(path))
        return
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member) if member.name.endswith(".csv") else None
            if file is not None:
                yield Path(member.name).stem, file.read().decode("utf-8", "replace").splitlines()


def _measured(trace: Trace, schedule: Callable[[], Sequence[Served]]) -> dict[str, float]:
    """The metrics of a schedule and how fast it was made."""
    from compute_scheduler.domain.simulation.jobs import metrics

    started = time.perf_counter()
    served = schedule()
    took = max(time.perf_counter() - started, 1e-9)
    return {**metrics(trace, served), "decisions_per_s": len(trace.jobs) / took}


def _lines(path: Path) -> Iterator[str]:
    how: dict[str, Any] = {"mode": "rt", "encoding": "utf-8", "errors": "replace"}
    with gzip.open(path, **how) if path.suffix == ".gz" else path.open(**how) as file:
        yield from file


def _rows(policy: str, report: dict[str, Any]) -> Iterator[dict[str, str]]:
    """One row a metric: the policy, the reference and the ratio of the two."""
    name, plain = report["reference"]["name"], report["reference"]["metrics"]
    for metric, value in report["metrics"].items():
        ratio = f"{value / plain[metric]:.3f}" if plain[metric] else "-"
        yield {"metric": metric, policy: f"{value:,.2f}", name: f"{plain[metric]:,.2f}", "ratio": ratio}
