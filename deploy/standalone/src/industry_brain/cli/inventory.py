"""`brain inventory`: storage, EFLOPS, racks and links of the computing centres."""

from __future__ import annotations

from typing import Any

import click

from industry_brain.cli.output import connect, connection, show

API = "/api/compute-scheduler/v1"
COLUMNS = (
    "centre", "title", "kind", "region", "state", "nodes", "cores", "storage_tb", "eflops", "racks_built",
    "racks_planned", "dedicated", "as_of",
)  # fmt: skip
LINK_COLUMNS = ("one", "other", "capacity_gbit_s", "latency_ms", "note", "as_of")


@click.group()
def inventory() -> None:
    """存算力清单 what the computing centres have, and the links between them."""


@inventory.command("show")
@connection
def show_inventory(url: str, key: str | None, as_json: bool) -> None:
    """清单 lists centres with storage, EFLOPS and racks, and the line for indicator L2P1."""
    with connect(url, key) as api:
        found = api.get(f"{API}/inventory")
    show(found if as_json else [_row(item) for item in found["items"]], as_json, COLUMNS)
    if not as_json:
        click.echo(f"L2P1 存储与计算资源：{found['l2p1']['text']}")


@inventory.command("set")
@click.argument("centre")
@click.option("--region", required=True, help="行政区划代码 GB/T 2260")
@click.option("--storage-tb", type=float, help="存储量 TB")
@click.option("--eflops", "eflops", multiple=True, metavar="PRECISION=N", help="算力：fp64、fp32、fp16、int8")
@click.option("--racks-built", type=int, help="已建机架数")
@click.option("--racks-planned", type=int, help="规划机架数")
@click.option("--dedicated", is_flag=True, help="自建专用数据中心")
@click.option("--longitude", type=float)
@click.option("--latitude", type=float)
@click.option("--as-of", required=True, help="数据日期 YYYY-MM-DD")
@click.option("--source", required=True, help="出处 where the figures come from")
@connection
def set_inventory(centre: str, eflops: tuple[str, ...], url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """填写 sets what CENTRE has beside its nodes."""
    found = {}
    for text in eflops:
        precision, _, amount = text.partition("=")
        try:
            found[precision] = float(amount)
        except ValueError:
            raise click.UsageError(f"--eflops 应写成 fp16=0.4, not {text!r}") from None
    with connect(url, key) as api:
        made = api.put_json(f"{API}/centres/{centre}/inventory", given | {"eflops": found})
        show(made if as_json else [_row(made)], as_json, COLUMNS)


@inventory.command("link")
@click.argument("one")
@click.argument("other")
@click.option("--gbit-s", "capacity_gbit_s", type=float, required=True, help="带宽 capacity")
@click.option("--latency-ms", type=float, help="往返时延 round trip")
@click.option("--note", default="")
@click.option("--as-of", required=True, help="数据日期 YYYY-MM-DD")
@connection
def set_link(one: str, other: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """链路 sets the link between two centres."""
    with connect(url, key) as api:
        made = api.put_json(f"{API}/links/{one}/{other}", given)
        show(made if as_json else [made], as_json, LINK_COLUMNS)


@inventory.command("links")
@connection
def list_links(url: str, key: str | None, as_json: bool) -> None:
    """链路列表 lists the links between centres."""
    with connect(url, key) as api:
        show(api.get(f"{API}/links")["items"], as_json, LINK_COLUMNS)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    eflops = ", ".join(f"{precision}={amount:g}" for precision, amount in item["eflops"].items())
    return item | {"eflops": eflops or None, "cores": f"{item['cores']:g}"}
