"""`brain derive`, `brain versions`, `brain lineage`: data sets from queries, fixed versions, where rows come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from industry_brain.cli.output import connect, connection, show

KINDS = {
    "dataset": "数据集",
    "external": "外部数据",
    "run": "运行",
    "push": "推送",
    "component": "组件",
    "indicator": "指标",
    "org": "来源",
}


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """`name=value` options as an object. Raises UsageError."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} 应写作 name=value：{text}")
        found[name] = value
    return found


def parameter(text: str) -> Any:
    """A parameter's value: JSON when it is a number, a boolean or null, else the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool | None) else text


@click.command()
@click.argument("name")
@click.argument("sql")
@click.option("--title", required=True, help="中文名称 Chinese title")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="value of $NAME in the SQL")
@click.option("--at", "versions", multiple=True, metavar="DATASET=VERSION", help="read this version of a data set")
@click.option("--row-key", "columns", multiple=True, metavar="COLUMN", help="column that tells rows apart; may repeat")
@click.option("--mode", type=click.Choice(["replace", "upsert"]), default="replace", show_default=True)
@click.option("--allow-breaking", is_flag=True, help="take columns that break the contract so far")
@click.option("--wait", "wait_s", default=60.0, show_default=True, help="seconds to wait until the rows can be queried")
@connection
def derive(  # noqa: PLR0913 - one parameter an option
    name: str, sql: str, title: str, parameters: tuple[str, ...], versions: tuple[str, ...], columns: tuple[str, ...],
    mode: str, allow_breaking: bool, wait_s: float, url: str, key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """存为数据集 makes or refreshes data set NAME from SQL. `-` reads the SQL from standard input, `@FILE` a file."""
    body: dict[str, Any] = {"name": name, "title": title, "sql": _text(sql), "key": list(columns), "mode": mode}
    if parameters:
        body["parameters"] = {item: parameter(value) for item, value in pairs(parameters, "--param").items()}
    if versions:
        body["versions"] = pairs(versions, "--at")
    with connect(url, key) as api:
        breaking = "allow" if allow_breaking else None
        made = api.post("/api/data-hub/v1/derived", body, wait=wait_s, breaking=breaking)
    if as_json:
        show(made, True)
    else:
        shown = {**made, "state": made["push"]["state"], "push": made["push"]["id"]}
        show(shown, False, ("dataset", "version", "rows", "contract_version", "run", "push", "state"))
        for dataset, version in made["inputs"].items():
            click.echo(f"  ← {dataset} @ {version or '—'}")
    sys.exit(6 if made["push"]["state"] == "refused" else 0)


def _text(sql: str) -> str:
    if sql == "-":
        return sys.stdin.read()
    return Path(sql[1:]).read_text(encoding="utf-8") if sql.startswith("@") else sql


@click.command()
@click.argument("dataset")
@click.option("--pin", "pinned", metavar="VERSION", help="keep this version from being forgotten")
@click.option("--reason", help="why it has to stay; needed with --pin")
@connection
def versions(dataset: str, pinned: str | None, reason: str | None, url: str, key: str | None, as_json: bool) -> None:
    """版本 lists the versions of DATASET that can be read, newest first, or pins one."""
    path = f"/api/data-hub/v1/datasets/{quote(dataset)}/versions"
    with connect(url, key) as api:
        if pinned is not None:
            if not reason:
                raise click.UsageError("--pin 需要 --reason：说明为什么保留")
            show(api.post(f"{path}/{quote(pinned)}/pins", {"reason": reason}), as_json)
            return
        items = api.get(path)["items"]
    for item in items:
        item["pins"] = item["pins"] if as_json else [pin["reason"] for pin in item["pins"]]
    show(items, as_json, ("version", "sequence", "committed_at", "rows", "rows_added", "rows_removed", "pins"))


@click.command()
@click.argument("start")
@click.option("--at", "version", help="版本 version; default: the newest")
@click.option("--column", help="follow one column only")
@click.option("--direction", type=click.Choice(["up", "down", "both"]), default="both", show_default=True)
@click.option("--depth", default=6, show_default=True)
@connection
def lineage(
    start: str, version: str | None, column: str | None, direction: str, depth: int,
    url: str, key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """血缘 walks the lineage of a data set, or of a node such as run:… or push:…."""
    begin = {"node": start} if ":" in start else {"dataset": start, "version": version, "column": column}
    with connect(url, key) as api:
        found = api.get("/api/data-hub/v1/lineage", direction=direction, depth=depth, limit=500, **begin)
    if as_json:
        show(found, True)
        return
    rows = [
        {
            "distance": node["distance"],
            "kind": KINDS[node["kind"]],
            "name": node["name"],
            "version": node.get("version"),
            "state": node.get("state"),
            "time": node.get("committed_at") or node.get("state_at") or node.get("at"),
        }
        for node in found["nodes"]
    ]
    show(rows, False, ("distance", "kind", "name", "version", "state", "time"))
    if found["truncated"] or found["next"]:
        click.echo(
            f"只显示部分 only part of {found['total']} nodes is shown; use --json or a smaller --depth", err=True
        )
