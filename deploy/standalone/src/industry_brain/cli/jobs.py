"""`brain job`: submitting jobs and following them."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import click

from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable
from industry_brain.cli.output import connect, connection, show

BASE = "/api/compute-scheduler/v1"
COLUMNS = ("id", "name", "state", "cores", "memory_mb", "accelerators", "wait_s", "run_s", "exit_code", "reason")
TERMS = ("staging_s", "money_yuan", "energy_kwh", "energy_yuan", "co2_kg", "score_s")
FINAL = ("succeeded", "failed", "cancelled")
EXIT_OF = {"succeeded": 0, "failed": 8, "cancelled": 9}
NOT_IN_TIME = 10
LOOK_EVERY_S = 0.3
TRIES = 20


@click.group()
def job() -> None:
    """作业 jobs: submit, list, show, logs, cancel, retry."""


@job.command("submit", context_settings={"ignore_unknown_options": True})
@click.option("--name", help="名称; by default the command's name")
@click.option("--cores", type=float, default=1.0, show_default=True, help="核数")
@click.option("--memory-mb", type=int, default=512, show_default=True, help="内存 MB")
@click.option(
    "--accelerator",
    "accelerators",
    multiple=True,
    metavar="KIND=N",
    help="加速卡, such as A100=1; 一块的一部分 part of one A100=0.25; 任一型号 any of several 'A100|V100=1'",
)
@click.option("--gang", type=click.IntRange(1, 256), default=1, show_default=True, help="成员数，同时开始")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), default="normal", show_default=True)
@click.option("--deadline", help="截止时间 RFC 3339")
@click.option("--retries", type=int, default=0, show_default=True, help="失败后重试次数")
@click.option("--time-limit-s", type=int, help="时限（秒）; default: the platform's")
@click.option("--reservation", help="在这个预留中运行 run in this reservation, once it has opened")
@click.option("--centre", help="指定算力中心")
@click.option("--checkpoint-every-s", type=int, help="作业每隔多少秒存一次断点")
@click.option("--after", multiple=True, metavar="ID", help="先要成功的作业 a job that must succeed first")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="环境变量")
@click.option("--dataset", "datasets", multiple=True, metavar="NAME[@VERSION]", help="作业读取的数据集")
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE", help="放进工作目录的文件")
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="成功后收取的文件")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE")
@click.option("--idempotency-key", help="同一个键重复提交不会产生第二个作业")
@click.option("--wait", "wait_s", type=float, is_flag=False, flag_value=86_400.0, default=None, help="等到结束（秒）")
@click.option("--estimate", is_flag=True, help="只看最早开始、费用和碳排放，不提交 tell start and cost, submit nothing")
@connection
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def submit(command: tuple[str, ...], url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """提交作业 submits COMMAND...; put `--` before it. With --wait: exit code 0 succeeded, 8 failed, 9 cancelled."""
    wait_s, estimate = given.pop("wait_s"), given.pop("estimate")
    idempotency_key = given.pop("idempotency_key")
    with connect(url, key) as api:
        spec = _specification(api, command, given)
        if estimate:
            _show_estimate(api.post(f"{BASE}/job-estimates", spec), as_json)
            return
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        made = api.post_with(f"{BASE}/jobs", spec, headers)
        if wait_s is None:
            show(made if as_json else [_row(made)], as_json, COLUMNS)
            return
        if not as_json:
            click.echo(f"{made['id']} {made['reason']}", err=True)
        ended = _await_end(api, made["id"], wait_s, quiet=as_json)
        if as_json:
            show(ended, True)
        sys.exit(EXIT_OF.get(ended["state"], NOT_IN_TIME))


def _show_estimate(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(found, True)
        return
    click.echo(f"最早开始 earliest start: {found['earliest_start_at'] or '—'}")
    show(found["sites"], False, ("centre", *TERMS))


@job.command("list")
@click.option("--state", help="状态，逗号分隔 queued,starting,running,succeeded,failed,cancelled")
@click.option("--name", help="名称中的一段")
@click.option("--label", metavar="NAME=VALUE")
@click.option("--limit", type=int, default=50, show_default=True)
@connection
def list_jobs(state: str | None, name: str | None, label: str | None, limit: int, **given: Any) -> None:
    """列出作业 lists jobs, newest first."""
    with connect(given["url"], given["key"]) as api:
        page = api.get(f"{BASE}/jobs", state=state, name=name, label=label, limit=limit)
        show(page if given["as_json"] else [_row(item) for item in page["items"]], given["as_json"], COLUMNS)


@job.command("show")
@click.argument("job_id")
@connection
def show_job(job_id: str, url: str, key: str | None, as_json: bool) -> None:
    """显示作业 shows a job with its attempts."""
    with connect(url, key) as api:
        body = api.get(_path(job_id))
        costs = api.get(f"{_path(job_id)}/costs")
        if as_json:
            show(body | {"costs": costs}, True)
            return
        show([_row(body)], False, COLUMNS)
        show(
            _cost_rows(costs),
            False,
            ("what", "centre", "start_at", "money_yuan", "energy_kwh", "energy_yuan", "co2_kg"),
        )
        columns = (
            "id", "rank", "centre", "node", "devices", "state", "outcome", "exit_code", "running_at", "ended_at",
            "reason",
        )  # fmt: skip
        show([attempt | {"devices": _devices(attempt)} for attempt in body["attempts"]], False, columns)
        if sites := _sites(body["attempts"]):
            show(sites, False, ("attempt", "centre", "chosen", *TERMS))


def _cost_rows(costs: dict[str, Any]) -> list[dict[str, Any]]:
    """What was expected for the whole time limit, and what the ledger has."""
    expected, charged = costs["expected"] or {}, costs["charged"]
    start = costs["predicted_start_at"] or costs["earliest_start_at"]
    rows = [{"what": "预计 expected", "centre": None, "start_at": start, **expected}]
    if charged is not None:
        rows.append({"what": "已入账 charged", "money_yuan": charged["amount"], **charged})
    return rows


def _devices(attempt: dict[str, Any]) -> str:
    """What it holds of its node's accelerators: `A100=0.5 #0`."""
    held = attempt["accelerators"].items()
    return ", ".join(f"{kind}={one['amount']:g} #{','.join(map(str, one['devices']))}" for kind, one in held)


def _sites(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Why there: what the whole job was expected to cost at most where it went, and at the other centres."""
    rows = []
    for attempt in attempts:
        site = attempt["site"]
        if site is not None and attempt["rank"] == 0:
            rows.append({"attempt": attempt["epoch"], "centre": attempt["centre"], "chosen": "✓", **site})
            rows += [{"attempt": attempt["epoch"], "chosen": "", **other} for other in site["others"]]
    return rows


@job.command("logs")
@click.argument("job_id")
@click.option("--follow", "-f", is_flag=True, help="跟随到结束 until the job has ended")
@click.option("--attempt", type=int, help="第几次运行; default: the last")
@click.option("--rank", type=int, default=0, show_default=True, help="成组作业的第几个成员")
@click.option("--offset", type=int, default=0, show_default=True, help="从第几个字节起")
@connection
def logs(job_id: str, follow: bool, offset: int, attempt: int | None, rank: int, **given: Any) -> None:
    """日志 prints a job's log."""
    out = sys.stdout.buffer
    with connect(given["url"], given["key"]) as api:
        while True:
            text, following, ended = _log_part(api, job_id, attempt, rank, offset)
            out.write(text)
            out.flush()
            moved, offset = following > offset, following
            if not moved and (ended or not follow):
                return
            if not moved:
                time.sleep(LOOK_EVERY_S)


@job.command("cancel")
@click.argument("job_id")
@click.option("--wait", "wait_s", type=float, is_flag=False, flag_value=600.0, default=None, help="等到结束（秒）")
@connection
def cancel(job_id: str, wait_s: float | None, url: str, key: str | None, as_json: bool) -> None:
    """取消 cancels a job."""
    with connect(url, key) as api:
        body = api.post(f"{_path(job_id)}/cancel")
        if wait_s is not None:
            body = _await_end(api, job_id, wait_s, quiet=True)
        show(body if as_json else [_row(body)], as_json, COLUMNS)


@job.command("retry")
@click.argument("job_id")
@click.option("--wait", "wait_s", type=float, is_flag=False, flag_value=86_400.0, default=None, help="等到结束（秒）")
@connection
def retry(job_id: str, wait_s: float | None, url: str, key: str | None, as_json: bool) -> None:
    """重试 queues a failed or cancelled job again."""
    with connect(url, key) as api:
        body = api.post(f"{_path(job_id)}/retry")
        if wait_s is not None:
            body = _await_end(api, job_id, wait_s, quiet=as_json)
        show(body if as_json else [_row(body)], as_json, COLUMNS)
        if wait_s is not None:
            sys.exit(EXIT_OF.get(body["state"], NOT_IN_TIME))


@job.command("fetch")
@click.argument("job_id")
@click.argument("name")
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), help="目标文件; default: NAME here")
@connection
def fetch(job_id: str, name: str, target: Path | None, url: str, key: str | None, as_json: bool) -> None:
    """取回输出文件 downloads an output of a job."""
    with connect(url, key) as api:
        outputs = api.get(_path(job_id))["outputs"]
        if name not in outputs:
            raise click.UsageError(f"没有输出 no output {name!r}; there are: {', '.join(outputs) or '-'}")
        path = target or Path(Path(name).name)
        with path.open("wb") as file:
            out: BinaryIO = file
            size = api.download("GET", f"{BASE}/files/{outputs[name]['sha256']}", out, accept="*/*")
        show({"file": str(path), "bytes": size}, as_json)


def _specification(api: ApiClient, command: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": given["name"] or Path(command[0]).name[:100],
        "command": list(command),
        "env": dict(_pairs("--env", given["variables"])),
        "resources": {
            "cores": given["cores"],
            "memory_mb": given["memory_mb"],
            "accelerators": {
                kind: _number(kind, text) for kind, text in _pairs("--accelerator", given["accelerators"])
            },
        },
        "gang": given["gang"],
        "after": list(given["after"]),
        "priority": given["priority"],
        "retries": given["retries"],
        "datasets": [_dataset(text) for text in given["datasets"]],
        "inputs": {name: _uploaded(api, Path(path)) for name, path in _pairs("--input", given["inputs"])},
        "outputs": list(given["outputs"]),
        "labels": dict(_pairs("--label", given["labels"])),
    }
    optional = ("deadline", "time_limit_s", "centre", "reservation", "checkpoint_every_s")
    return spec | {name: given[name] for name in optional if given[name] is not None}


def _pairs(option: str, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} 应写成 NAME=VALUE, not {text!r}")
        yield name, value


def _number(kind: str, text: str) -> float:
    """Whole devices or part of one; how many there may be is for the service to say."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.UsageError(f"--accelerator {kind}=N 的 N 应为块数 needs a number of devices, not {text!r}")
    return int(number) if number == int(number) else number


def _dataset(text: str) -> dict[str, str]:
    name, _, version = text.partition("@")
    return {"dataset": name} | ({"version": version} if version else {})


def _uploaded(api: ApiClient, path: Path) -> dict[str, str]:
    if not path.is_file():
        raise click.UsageError(f"没有文件 no such file: {path}")
    made = api.put(f"{BASE}/files", path.read_bytes(), "application/octet-stream")
    return {"sha256": made["sha256"]}


def _await_end(api: ApiClient, job_id: str, wait_s: float, *, quiet: bool) -> dict[str, Any]:
    """The job once it has ended or the time is over; tells each change of its reason."""
    deadline = time.monotonic() + wait_s
    told, failed = ("", ""), 0
    while True:
        try:
            body: dict[str, Any] = api.get(_path(job_id))
            failed = 0
        except (PlatformUnreachable, ApiError) as error:
            failed += 1
            passing = isinstance(error, PlatformUnreachable) or error.status >= 500
            if not passing or failed > TRIES:
                raise
            time.sleep(1.0)
            continue
        if not quiet and (body["state"], body["reason"]) != told:
            told = (body["state"], body["reason"])
            click.echo(f"{datetime.now(UTC):%H:%M:%S} {body['state']:<9} {body['reason']}", err=True)
        if body["state"] in FINAL or time.monotonic() > deadline:
            return body
        time.sleep(LOOK_EVERY_S)


def _log_part(api: ApiClient, job_id: str, attempt: int | None, rank: int, offset: int) -> tuple[bytes, int, bool]:
    content, headers = api.get_bytes(f"{_path(job_id)}/logs", attempt=attempt, rank=rank, offset=offset)
    return content, int(headers["x-log-next"]), headers["x-log-ended"] == "true"


def _path(job_id: str) -> str:
    return f"{BASE}/jobs/{quote(job_id, safe='')}"


def _row(body: dict[str, Any]) -> dict[str, Any]:
    started, ended = _time(body["started_at"]), _time(body["ended_at"])
    now = datetime.now(UTC)
    queued = _time(body["submitted_at"]) or now
    resources = body["resources"]
    return {
        **body,
        "cores": f"{resources['cores']:g}",
        "memory_mb": resources["memory_mb"],
        "accelerators": ", ".join(f"{kind}={number:g}" for kind, number in resources["accelerators"].items()),
        "wait_s": round(((started or ended or now) - queued).total_seconds(), 1),
        "run_s": round(((ended or now) - started).total_seconds(), 1) if started else None,
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
