"""`brain indicators`: sets and values, computing, exporting."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from industry_brain.apiclient import ApiClient
from industry_brain.cli.output import connect, connection, save_table, show

API = "/api/evaluation/v1"
POLL_S = 0.5
SET_COLUMNS = ("id", "title", "kind", "count", "computed")
VALUE_COLUMNS = ("code", "name", "value", "unit", "kind", "state", "as_of", "reason")


@click.group()
def indicators() -> None:
    """指标 indicator sets: list values, compute them, export the documents' tables."""


@indicators.command("list")
@click.argument("set_id", metavar="[SET]", required=False)
@click.option("--period", help="2025, 2025Q3 or 2025-10; default: the last whole year")
@click.option("--cluster", help="集群 id of a cluster; default: the first one")
@connection
def list_indicators(
    set_id: str | None, period: str | None, cluster: str | None, url: str, key: str | None, as_json: bool
) -> None:
    """列表 lists the sets, or the indicators of SET with their values."""
    with connect(url, key) as api:
        if set_id is None:
            show(api.get(f"{API}/indicator-sets")["items"], as_json, SET_COLUMNS)
            return
        table = api.get(f"{API}/indicator-sets/{quote(set_id)}/indicators", period=period, cluster=cluster)
    if as_json:
        show(table, True)
        return
    place = table["cluster"]["name"] if table["cluster"] else "—"
    click.echo(f"{table['set']['title']} · {place} · {table['period']}")
    show([_line(item) for item in table["items"]], False, VALUE_COLUMNS)


def _line(item: dict[str, Any]) -> dict[str, Any]:
    """What a table of the terminal shows: a statement stands where a number would."""
    value = item["text"] if item["value"] is None else item["value"]
    return item | {"value": f"{value:.6g}" if isinstance(value, float) else value, "unit": item["unit"]}


@indicators.command()
@click.argument("cluster")
@click.option("--set", "set_id", help="one set only; default: all")
@click.option("--period", "periods", multiple=True, help="may be given several times; default: recent month ends")
@click.option("--no-wait", is_flag=True, help="只排队 queue and return")
@connection
def compute(
    cluster: str, set_id: str | None, periods: tuple[str, ...], no_wait: bool, url: str, key: str | None, as_json: bool
) -> None:
    """计算 computes the indicators of CLUSTER over the newest versions of the data sets; exit code 6 when it fails."""
    with connect(url, key) as api:
        run = api.post(f"{API}/runs", {"cluster": cluster, "set": set_id, "periods": list(periods) or None})
        if not no_wait:
            run = _ended(api, run, quiet=as_json)
    columns = ("id", "state", "done", "total", "without_value", "reason")
    show(run if as_json else {name: run[name] for name in columns}, as_json)
    if run["state"] in ("failed", "cancelled"):
        sys.exit(6)


def _ended(api: ApiClient, run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    while run["state"] in ("queued", "running"):
        time.sleep(POLL_S)
        run = api.get(f"{API}/runs/{run['id']}")
        if not quiet and sys.stderr.isatty():
            click.echo(f"\r{run['done']}/{run['total']} {run['reason']}", nl=False, err=True)
    if not quiet and sys.stderr.isatty():
        click.echo("", err=True)
    return run


@indicators.command()
@click.argument("set_id", metavar="SET")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.xlsx or FILE.csv"
)
@click.option("--period", help="2025, 2025Q3 or 2025-10; default: the last whole year")
@click.option("--cluster", help="集群 id of a cluster; default: the first one")
@connection
def export(
    set_id: str, output: Path, period: str | None, cluster: str | None, url: str, key: str | None, as_json: bool
) -> None:
    """导出 writes SET in the form of the document's table, with its values beside it."""
    given = {name: value for name, value in (("period", period), ("cluster", cluster)) if value}
    show(save_table(url, key, f"{API}/indicator-sets/{quote(set_id)}/export", given, output), as_json)
