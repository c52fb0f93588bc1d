"""`brain reserve` and `brain maintain`: capacity kept for some, and centres or nodes that take no jobs for a time."""

from __future__ import annotations

from typing import Any

import click

from industry_brain.cli.output import Decorated, connect, connection, show

BASE = "/api/compute-scheduler/v1/reservations"
COLUMNS = ("id", "centre", "title", "state", "start_at", "end_at", "for", "kept", "reason")
WINDOWS = ("id", "centre", "title", "state", "start_at", "end_at", "kept", "running", "reason")
USE = ("kept_core_h", "used_core_h", "unused_core_h", "until")
TOUCHED = ("job", "name", "org", "ends_by_at", "start_at", "then_at")
STATES = click.Choice(["live", "planned", "open", "over", "cancelled"])


def window(command: Decorated) -> Decorated:
    """What every window has: its centre, its times, what it is called and for, and how it is asked for."""
    marks = (
        click.argument("centre"),
        click.option("--from", "start_at", required=True, help="开始 RFC 3339"),
        click.option("--to", "end_at", required=True, help="结束 RFC 3339"),
        click.option("--title", required=True, help="名称"),
        click.option("--purpose", default="", help="用途或说明 seen by operators and those it is for"),
        click.option("--idempotency-key", help="重复提交不会重复保留 a repeat makes no second one"),
        click.option("--preview", is_flag=True, help="只看影响哪些作业，不保留 tell whom it touches, keep nothing"),
        connection,
    )
    for mark in reversed(marks):
        command = mark(command)
    return command


@click.group()
def reserve() -> None:
    """预留算力 keeps capacity of a centre for organisations or a priority class: add, list, show, cancel."""


@reserve.command("add")
@window
@click.option("--org", "orgs", multiple=True, help="供哪个机构使用 USCC, 可多次 repeatable")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), help="或供这一级优先级的作业")
@click.option("--cores", type=float, help="每份核数；不写则保留 --node 的整个节点 of each part; absent: whole nodes")
@click.option("--memory-mb", type=int, default=0, help="每份内存 MB")
@click.option("--accelerator", "accelerators", multiple=True, metavar="KIND=N", help="每份加速卡，可多次")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="份数")
@click.option("--node", "nodes", multiple=True, help="节点名，可多次；不写则由平台选 absent: any that fit")
def add(centre: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """Keeps capacity of CENTRE from one time to another: parts of --cores, or whole nodes."""
    cores, memory_mb = given.pop("cores"), given.pop("memory_mb")
    accelerators = dict(_kind(text) for text in given.pop("accelerators"))
    if cores is None and (accelerators or memory_mb or given["count"] > 1):
        raise click.UsageError("请用 --cores 写明每份的核数 say the cores of each part")
    if cores is not None:
        given["resources"] = {"cores": cores, "memory_mb": memory_mb, "accelerators": accelerators}
    _make({"kind": "reservation", "centre": centre, **given}, (url, key, as_json))


@reserve.command("list")
@click.option("--centre", default="", help="中心")
@click.option("--state", type=STATES, help="live：未结束的 planned or open")
@click.option("--org", default="", help="供这个机构的 for this organisation")
@connection
def list_reservations(centre: str, state: str | None, org: str, url: str, key: str | None, as_json: bool) -> None:
    """Lists reservations, newest first."""
    _list("reservation", COLUMNS, {"centre": centre, "state": state or "", "org": org}, (url, key, as_json))


@reserve.command("show")
@click.argument("reservation")
@connection
def show_reservation(reservation: str, url: str, key: str | None, as_json: bool) -> None:
    """Shows a reservation or window with its nodes and the core hours that went unused."""
    with connect(url, key) as api:
        found = api.get(f"{BASE}/{reservation}")
    if as_json:
        show(found, True)
        return
    show(_row(found) | (found["use"] or {}), False, (*COLUMNS, "purpose", *(USE if found["use"] else ())))
    show([{"node": item["node"], **(item["kept"] or {})} for item in found["nodes"]], False, ("node", "cores"))


@reserve.command("cancel")
@click.argument("reservation")
@click.option("--reason", required=True, help="原因 why")
@connection
def cancel(reservation: str, reason: str, url: str, key: str | None, as_json: bool) -> None:
    """取消 gives back what RESERVATION keeps; jobs that run go on."""
    _cancel(reservation, reason, COLUMNS, (url, key, as_json))


@click.group()
def maintain() -> None:
    """维护窗口 lets a centre or nodes take no jobs for a time: add, list, cancel."""


@maintain.command("add")
@window
@click.option("--node", "nodes", multiple=True, help="节点名，可多次；不写则整个中心 absent: the whole centre")
@click.option(
    "--running",
    type=click.Choice(["leave", "requeue", "end"]),
    default="leave",
    show_default=True,
    help="开始时仍在运行的作业：留到结束、回到队列、结束 what becomes of jobs that still run",
)
def add_window(centre: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """Lets CENTRE, or its named nodes, take no jobs from one time to another; afterwards they open by themselves."""
    _make({"kind": "maintenance", "centre": centre, **given}, (url, key, as_json))


@maintain.command("list")
@click.option("--centre", default="", help="中心")
@click.option("--state", type=STATES, help="live：未结束的 planned or open")
@connection
def list_windows(centre: str, state: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Lists maintenance windows, newest first."""
    _list("maintenance", WINDOWS, {"centre": centre, "state": state or ""}, (url, key, as_json))


@maintain.command("cancel")
@click.argument("window")
@click.option("--reason", required=True, help="原因 why")
@connection
def cancel_window(window: str, reason: str, url: str, key: str | None, as_json: bool) -> None:
    """取消 ends WINDOW: its nodes take jobs again at once."""
    _cancel(window, reason, WINDOWS, (url, key, as_json))


Asked = tuple[str, str | None, bool]
"""Address, key, whether JSON is wanted."""


def _make(body: dict[str, Any], asked: Asked) -> None:
    url, key, as_json = asked
    repeat, preview = body.pop("idempotency_key"), body.pop("preview")
    body |= {name: list(body[name]) for name in ("nodes", "orgs") if name in body}
    with connect(url, key) as api:
        if preview:
            seen = api.post(f"{BASE}/preview", body)
            if as_json:
                show(seen, True)
                return
            nodes = ", ".join(item["node"] for item in seen["nodes"])
            click.echo(f"节点 nodes: {nodes or '整个中心 the whole centre'}")
            show(seen["running"] + seen["waiting"], False, TOUCHED)
            return
        made = api.post_with(BASE, body, {"Idempotency-Key": repeat} if repeat else {})
    show(made if as_json else [_row(made)], as_json, WINDOWS if body["kind"] == "maintenance" else COLUMNS)


def _list(kind: str, columns: tuple[str, ...], query: dict[str, str], asked: Asked) -> None:
    url, key, as_json = asked
    items: list[dict[str, Any]] = []
    with connect(url, key) as api:
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            page = api.get(BASE, kind=kind, after=page["next"], **query)
            items += page["items"]
    show(items if as_json else [_row(item) for item in items], as_json, columns)


def _cancel(reservation: str, reason: str, columns: tuple[str, ...], asked: Asked) -> None:
    url, key, as_json = asked
    with connect(url, key) as api:
        made = api.post(f"{BASE}/{reservation}/cancel", {"reason": reason})
    show(made if as_json else [_row(made)], as_json, columns)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    names = ", ".join(node["node"] for node in item["nodes"]) or "整个中心 all"
    asked = item["asked"]
    kept = names if asked is None else f"{asked['count']} × {asked['resources']['cores']:g} 核 @ {names}"
    whose = ", ".join(item["orgs"]) or item["priority"]
    return item | {"kept": kept, "for": whose, "reason": item["reason"] or None}


def _kind(text: str) -> tuple[str, int]:
    name, sign, number = text.partition("=")
    if not (name and sign and number.isdigit()):
        raise click.UsageError(f"--accelerator 应写成 KIND=N, not {text!r}")
    return name, int(number)
