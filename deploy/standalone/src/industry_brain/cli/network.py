"""`brain network`: links over time, copies of data at centres, data on their way, where they may go at what cost."""

from __future__ import annotations

from typing import Any

import click

from industry_brain.cli.output import connect, connection, show

API = "/api/compute-scheduler/v1"
LINK_COLUMNS = ("one", "other", "capacity_gbit_s", "free_gbit_s", "latency_ms", "windows", "as_of")
REPLICA_COLUMNS = ("dataset", "version", "view", "centre", "bytes", "state", "sha256", "used_at", "updated_at")
TRANSFER_COLUMNS = (
    "id",
    "dataset",
    "centre",
    "state",
    "percent",
    "bytes",
    "rate_gbit_s",
    "finish_at",
    "jobs",
    "reason",
)
RULE_COLUMNS = ("dataset", "stays_in", "reason", "org", "updated_at")
QUOTE_COLUMNS = ("centre", "title", "holds", "allowed", "bytes", "seconds", "yuan", "path")


@click.group()
def network() -> None:
    """虚拟数据网络 links, replicas, data rules and what moving data takes."""


@network.command("links")
@connection
def list_links(url: str, key: str | None, as_json: bool) -> None:
    """链路 lists the links with what they carry now and their maintenance."""
    with connect(url, key) as api:
        found = api.get(f"{API}/links")["items"]
    show(found if as_json else [item | {"windows": _windows(item)} for item in found], as_json, LINK_COLUMNS)


@network.command("maintain")
@click.argument("one")
@click.argument("other")
@click.option("--from", "start_at", required=True, help="开始 RFC 3339")
@click.option("--to", "end_at", required=True, help="结束 RFC 3339")
@click.option("--gbit-s", type=float, default=0.0, help="时段内的带宽，默认中断")
@click.option("--note", default="")
@connection
def maintain(one: str, other: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """维护时段 lets the link between ONE and OTHER carry less for a time."""
    with connect(url, key) as api:
        made = api.post(f"{API}/links/{one}/{other}/windows", given)
        show(made if as_json else [made], as_json, ("id", "start_at", "end_at", "gbit_s", "note"))


@network.command("replicas")
@click.option("--dataset", default="", help="数据集")
@click.option("--centre", default="", help="中心")
@connection
def list_replicas(dataset: str, centre: str, url: str, key: str | None, as_json: bool) -> None:
    """副本 lists copies of data sets at centres."""
    items: list[dict[str, Any]] = []
    with connect(url, key) as api:
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            page = api.get(f"{API}/replicas", dataset=dataset, centre=centre, after=page["next"])
            items += page["items"]
    show(items, as_json, REPLICA_COLUMNS)


@network.command("transfers")
@click.option("--state", type=click.Choice(["alive", "booked", "moving", "done", "failed", "cancelled"]), default=None)
@click.option("--centre", default="", help="去往哪个中心")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@connection
def list_transfers(state: str | None, centre: str, limit: int, url: str, key: str | None, as_json: bool) -> None:
    """数据传输 lists versions on their way to centres, and those that have arrived, newest first."""
    with connect(url, key) as api:
        found = api.get(f"{API}/transfers", state=state or "", centre=centre, limit=limit)["items"]
    show(found if as_json else [_transfer(item) for item in found], as_json, TRANSFER_COLUMNS)


@network.command("cancel")
@click.argument("transfer")
@click.option("--reason", required=True, help="原因 why; the jobs that wait for it show it")
@connection
def cancel_transfer(transfer: str, reason: str, url: str, key: str | None, as_json: bool) -> None:
    """取消传输 stops TRANSFER: its links are free at once, the jobs that wait for it fail with the reason."""
    with connect(url, key) as api:
        made = api.post(f"{API}/transfers/{transfer}/cancel", {"reason": reason})
    show(made if as_json else [_transfer(made)], as_json, TRANSFER_COLUMNS)


@network.command("rules")
@connection
def list_rules(url: str, key: str | None, as_json: bool) -> None:
    """数据规则 lists where data sets may be."""
    with connect(url, key) as api:
        found = api.get(f"{API}/data-rules")["items"]
    show(found if as_json else [_rule(item) for item in found], as_json, RULE_COLUMNS)


@network.command("rule")
@click.argument("dataset")
@click.option("--in", "stays_in", multiple=True, required=True, help="中心编号或行政区划代码，可多次")
@click.option("--reason", required=True, help="依据 why")
@connection
def set_rule(dataset: str, stays_in: tuple[str, ...], reason: str, url: str, key: str | None, as_json: bool) -> None:
    """设置规则 keeps DATASET in centres and regions: jobs that read it run there or nowhere."""
    with connect(url, key) as api:
        made = api.put_json(f"{API}/data-rules/{dataset}", {"stays_in": list(stays_in), "reason": reason})
        show(made if as_json else [_rule(made)], as_json, RULE_COLUMNS)


@network.command("quote")
@click.argument("dataset")
@click.option("--version", help="空缺：最新版本 the newest")
@connection
def quote(dataset: str, version: str | None, url: str, key: str | None, as_json: bool) -> None:
    """估算 tells for each centre whether DATASET may go there, over which links, how long and at what price."""
    with connect(url, key) as api:
        found = api.get(f"{API}/data-quotes/{dataset}", **({"version": version} if version else {}))
    rows = [item | {"path": " ".join("-".join(ends) for ends in item["path"]) or None} for item in found["items"]]
    show(found if as_json else rows, as_json, QUOTE_COLUMNS)


def _windows(link: dict[str, Any]) -> str | None:
    texts = [f"{item['start_at']}..{item['end_at']} {item['gbit_s']:g}" for item in link["windows"]]
    return "; ".join(texts) or None


def _transfer(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"jobs": ", ".join(item["jobs"]) or None, "reason": item["reason"] or None}


def _rule(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"stays_in": ", ".join(item["stays_in"])}
