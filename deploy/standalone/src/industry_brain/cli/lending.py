"""`brain lending`: what this brain lends to and borrows from other brains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from industry_brain.cli.output import connect, connection, show, written_whole

Command = Callable[..., None]
API = "/api/compute-scheduler/v1/lending"
LOAN_COLUMNS = (
    "id", "title", "borrower", "state", "available", "lent", "used", "running", "waiting", "until_at", "reclaim",
    "notice_s",
)  # fmt: skip
BORROWED_COLUMNS = ("centre", "title", "state", "detail", "loan", "cores", "used_cores", "memory_mb", "jobs", "seen_at")
JOB_COLUMNS = ("id", "attempt", "state", "reason", "submitted_at", "ended_at")
LINE_COLUMNS = (
    "attempt", "state", "here_wall_s", "there_wall_s", "here_core_s", "there_core_s", "here_amount", "there_amount",
    "differs",
)  # fmt: skip


@click.group()
def lending() -> None:
    """算力出借与借入 lends capacity to other brains and compares accounts; borrowing: `brain agent --engine brain`."""


def _terms(required: bool) -> Callable[[Command], Command]:
    options = [
        click.option("--cores", type=float, required=required, help="核数"),
        click.option("--memory-mb", type=int, required=required, help="内存，百万字节"),
        click.option("--accelerator", "accelerators", multiple=True, metavar="KIND=N", help="加速卡，可多次"),
        click.option("--hours", multiple=True, metavar="HH:MM-HH:MM", help="每天的时段（北京时间），可多次；空为全天"),
        click.option("--from", "from_at", help="开始 RFC 3339"),
        click.option("--until", "until_at", help="到期 RFC 3339"),
        click.option(
            "--reclaim", type=click.Choice(["wait", "stop"]), help="收回时等运行的作业结束，或在通知期后停止它们"
        ),
        click.option("--notice-s", type=float, help="收回前的通知秒数"),
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@lending.command("list")
@connection
def list_lending(url: str, key: str | None, as_json: bool) -> None:
    """借出与借入 lists what is lent out and what is borrowed, and how much of it is in use."""
    with connect(url, key) as api:
        found = api.get(API)
    if as_json:
        show(found, as_json)
        return
    click.echo(f"本平台 this brain {found['brain']}\n借出 lent out")
    show([_row(item) for item in found["loans"]], as_json, LOAN_COLUMNS)
    click.echo("借入 borrowed")
    show(found["borrowed"], as_json, BORROWED_COLUMNS)


@lending.command("offer")
@click.argument("loan")
@click.option("--to", "borrower", required=True, help="代表对方平台的机构 USCC of the borrowing brain")
@click.option("--title", required=True, help="中文名称")
@_terms(required=True)
@connection
def offer(loan: str, borrower: str, title: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """出借 lends capacity as LOAN; make its key next."""
    body = {"id": loan, "borrower": borrower, "title": title, **_body(given, {})}
    with connect(url, key) as api:
        made = api.post(f"{API}/loans", body)
    show(made if as_json else _row(made), as_json, LOAN_COLUMNS)


@lending.command("change")
@click.argument("loan")
@click.option("--reopen", is_flag=True, help="收回后重新出借 lends again what was recalled")
@click.option("--all-day", is_flag=True, help="取消时段限制 without hours")
@_terms(required=False)
@connection
def change(loan: str, reopen: bool, all_day: bool, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """调整 changes what LOAN lends; less is in force at once for new jobs."""
    with connect(url, key) as api:
        body = _body(given, api.get(f"{API}/loans/{loan}")["amounts"])
        body |= {"state": "open"} if reopen else {}
        body |= {"hours": []} if all_day else {}
        if not body:
            raise click.UsageError("没有要改的内容 nothing to change; see --help")
        changed = api.patch(f"{API}/loans/{loan}", body)
    show(changed if as_json else _row(changed), as_json, LOAN_COLUMNS)


@lending.command("recall")
@click.argument("loan")
@click.option("--reclaim", type=click.Choice(["wait", "stop"]), help="等运行的结束，或停止它们；空缺按出借时所定")
@click.option("--notice-s", type=float, help="停止前的通知秒数；空缺按出借时所定")
@connection
def recall(loan: str, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """收回 takes LOAN back: nothing new begins, what runs may end or is stopped after the notice."""
    with connect(url, key) as api:
        changed = api.post(
            f"{API}/loans/{loan}/recall", {name: value for name, value in given.items() if value is not None}
        )
    show(changed if as_json else _row(changed), as_json, LOAN_COLUMNS)


@lending.command("show")
@click.argument("loan")
@connection
def show_loan(loan: str, url: str, key: str | None, as_json: bool) -> None:
    """详情 shows LOAN with its newest jobs."""
    with connect(url, key) as api:
        found = api.get(f"{API}/loans/{loan}")
    show(found if as_json else _row(found), as_json, (*LOAN_COLUMNS, "hours", "reason", "partner", "seen_at"))
    if not as_json:
        show(found["jobs"], as_json, JOB_COLUMNS)


@lending.command("key")
@click.argument("loan")
@connection
def loan_key(loan: str, url: str, key: str | None, as_json: bool) -> None:
    """密钥 makes the key with which the borrower's agent uses LOAN, and shows it once."""
    with connect(url, key) as api:
        show(api.post(f"{API}/loans/{loan}/keys"), as_json, ("loan", "id", "key"))
    if not as_json:
        click.echo("密钥只显示这一次，请交给借入方。The key is shown only now; hand it to the borrower.", err=True)


@lending.command("statement")
@click.option("--loan", default="", help="借出的一份 one that we lend")
@click.option("--centre", default="", help="借入的中心 a centre that we borrow")
@click.option("--since", help="结束时间不早于 RFC 3339")
@click.option("--until", help="结束时间早于 RFC 3339")
@click.option("--differing", is_flag=True, help="只列有差异的 only those that differ")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="存为 CSV")
@connection
def statement(url: str, key: str | None, as_json: bool, output: Path | None, differing: bool, **given: Any) -> None:
    """对账 compares what both brains say that the same attempts used."""
    asked = {name: value for name, value in given.items() if value}
    with connect(url, key) as api:
        if output is not None:
            content, _ = api.get_bytes(f"{API}/statement", **asked, format="csv")
            with written_whole(output) as file:
                file.write(content)
            return
        found = api.get(f"{API}/statement", **asked)
    if as_json:
        show(found, as_json)
        return
    items = [item for item in found["items"] if not differing or item["state"] != "same"]
    show([_line(item) for item in items], as_json, LINE_COLUMNS)
    counts = f"一致 same {found['same']} · 有差异 differ {found['differs']} · 对方未报 untold {found['untold']}"
    click.echo(f"{counts} · 本方没有 unknown here {found['unknown_here']}")
    click.echo(f"本方 here {found['here']['amount']} CNY · 对方 there {found['there']['amount']} CNY（各按自己的价目）")


def _body(given: dict[str, Any], before: dict[str, float]) -> dict[str, Any]:
    body = {name: given[name] for name in ("from_at", "until_at", "reclaim", "notice_s") if given[name] is not None}
    amounts: dict[str, float] = {name: given[name] for name in ("cores", "memory_mb") if given[name] is not None}
    for text in given["accelerators"]:
        kind, _, number = text.partition("=")
        if not number.isdigit():
            raise click.UsageError(f"--accelerator 应写成 KIND=N, not {text!r}")
        amounts[kind] = int(number)
    if amounts:
        body["amounts"] = before | amounts
    if given["hours"]:
        body["hours"] = [_hours(text) for text in given["hours"]]
    return body


def _hours(text: str) -> list[str]:
    start, sign, end = text.partition("-")
    if not sign:
        raise click.UsageError(f"--hours 应写成 HH:MM-HH:MM, not {text!r}")
    return [start, end]


def _row(item: dict[str, Any]) -> dict[str, Any]:
    return item | {
        "lent": _amounts(item["amounts"]),
        "used": _amounts(item["used"]),
        "hours": ", ".join("-".join(pair) for pair in item["hours"]) or None,
    }


def _amounts(amounts: dict[str, float]) -> str:
    return " ".join(f"{name}={amount:g}" for name, amount in amounts.items())


def _line(item: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"attempt": item["attempt"], "state": item["state"]}
    for side in ("here", "there"):
        for name in ("wall_s", "core_s", "amount"):
            told[f"{side}_{name}"] = (item[side] or {}).get(name)
    return told | {"differs": ", ".join(one["field"] for one in item["differences"]) or None}
