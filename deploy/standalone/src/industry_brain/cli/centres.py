"""`brain centre`, `brain quota`, `brain agent`: computing centres, who may use them, and their agents."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import click

from industry_brain.cli.output import connect, connection, show

BASE = "/api/compute-scheduler/v1"
COLUMNS = ("id", "title", "kind", "owner", "state", "nodes", "cores", "used_cores", "memory_mb", "jobs", "seen_at")
CARBON_COLUMNS = (
    "id", "zone", "from", "until", "hours", "least_g_kwh", "mean_g_kwh", "most_g_kwh", "now_g_kwh", "source", "as_of",
)  # fmt: skip


@click.group()
def centre() -> None:
    """算力中心 computing centres: list, add, key, carbon, drain, open, fence."""


@centre.command("list")
@connection
def list_centres(url: str, key: str | None, as_json: bool) -> None:
    """Lists centres with their nodes and load."""
    with connect(url, key) as api:
        items = api.get(f"{BASE}/centres")["items"]
        show(items if as_json else [_row(item) for item in items], as_json, COLUMNS)


@centre.command("add")
@click.argument("name")
@click.option("--title", required=True, help="中文名称")
@click.option("--kind", type=click.Choice(["region", "industry", "edge"]), default="edge", show_default=True)
@click.option("--owner", help="所有者 USCC of the organisation that is paid for its use; default: your own")
@connection
def add_centre(name: str, title: str, kind: str, owner: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Registers a centre; make its agent's key next."""
    with connect(url, key) as api:
        made = api.post(f"{BASE}/centres", {"id": name, "title": title, "kind": kind, "owner": owner})
        show(made if as_json else [_row(made)], as_json, COLUMNS)


@centre.command("key")
@click.argument("name")
@connection
def centre_key(name: str, url: str, key: str | None, as_json: bool) -> None:
    """Makes a key for the centre's agent and shows it once."""
    with connect(url, key) as api:
        show(api.post(f"{BASE}/centres/{name}/keys"), as_json, ("centre", "id", "key"))
        if not as_json:
            click.echo("密钥只显示这一次，请保存。The key is shown only now; keep it.", err=True)


@centre.command("carbon")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", help="CSV 的列名 the column, if there are several")
@click.option("--source", help="出处 where the figures come from")
@click.option("--as-of", help="出处的日期 date of the source, YYYY-MM-DD")
@connection
def centre_carbon(name: str, file: Path | None, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """逐时碳强度 uploads FILE (hour in UTC, a column a zone, gCO2/kWh); without FILE lists what there is."""
    with connect(url, key) as api:
        if file is None:
            items = api.get(f"{BASE}/centres/{name}/carbon")["items"]
            show(items, as_json, CARBON_COLUMNS)
            return
        if not (given["source"] and given["as_of"]):
            raise click.UsageError("请用 --source 和 --as-of 写明出处和日期 say the source and its date")
        body = given | {"csv": file.read_text(encoding="utf-8-sig")}
        made = api.post(f"{BASE}/centres/{name}/carbon", body)
        show(made if as_json else [made], as_json, CARBON_COLUMNS)


def _set_state(name: str, node: str | None, state: str, given: dict[str, Any]) -> None:
    with connect(given["url"], given["key"]) as api:
        path = f"{BASE}/centres/{name}" + (f"/nodes/{node}" if node else "")
        wanted = "up" if node and state == "open" else state
        changed = api.patch(path, {"state": wanted})
        show(changed if given["as_json"] else [_row(changed)], given["as_json"], COLUMNS)


@centre.command("drain")
@click.argument("name")
@click.option("--node", help="one node instead of the whole centre")
@connection
def drain(name: str, node: str | None, **given: Any) -> None:
    """停止接收新作业 finishes what runs and takes nothing new."""
    _set_state(name, node, "drained", given)


@centre.command("open")
@click.argument("name")
@click.option("--node", help="one node instead of the whole centre")
@connection
def open_again(name: str, node: str | None, **given: Any) -> None:
    """恢复接收新作业 takes new jobs again."""
    _set_state(name, node, "open", given)


@centre.command("fence")
@click.argument("name")
@click.confirmation_option(prompt="该中心的机器确已关闭？其上的作业将判为失联 Are its machines off?")
@connection
def fence(name: str, url: str, key: str | None, as_json: bool) -> None:
    """声明失效 declares the work of a silent centre lost."""
    with connect(url, key) as api:
        show(api.post(f"{BASE}/centres/{name}/fence"), as_json)


@click.group()
def quota() -> None:
    """配额 what an organisation may use of compute."""


@quota.command("set")
@click.argument("org")
@click.option("--cores", type=float, required=True)
@click.option("--memory-mb", type=int, required=True)
@click.option("--accelerator", "accelerators", multiple=True, metavar="KIND=N")
@click.option("--weight", type=float, default=1.0, show_default=True, help="公平份额的权重")
@connection
def set_quota(org: str, cores: float, memory_mb: int, accelerators: tuple[str, ...], **given: Any) -> None:
    """Sets an organisation's quota."""
    amounts: dict[str, float] = {"cores": cores, "memory_mb": memory_mb}
    for text in accelerators:
        kind, _, number = text.partition("=")
        if not number.isdigit():
            raise click.UsageError(f"--accelerator 应写成 KIND=N, not {text!r}")
        amounts[kind] = int(number)
    with connect(given["url"], given["key"]) as api:
        body = {"quota": amounts, "weight": given["weight"]}
        show(api.put_json(f"{BASE}/tenants/{org}/quota", body), given["as_json"])


@quota.command("show")
@click.argument("org")
@connection
def show_quota(org: str, url: str, key: str | None, as_json: bool) -> None:
    """Shows an organisation's quota, what it holds and what it used."""
    with connect(url, key) as api:
        show(api.get(f"{BASE}/tenants/{org}/quota"), as_json)


@click.command()
@click.option("--centre", "name", required=True, help="中心的名字")
@click.option("--url", envvar="BRAIN_URL", required=True, help="平台地址 address of the gateway")
@click.option(
    "--key", envvar="BRAIN_KEY", required=True, help="代理密钥; better in $BRAIN_KEY, which no process list shows"
)
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), default=Path("./brain-agent"), show_default=True,
    help="代理的目录 folder of the agent",
)  # fmt: skip
@click.option("--cores", type=float, default=0.0, help="local: cores to offer; 0: those of the machine")
@click.option("--memory-mb", type=int, default=0, help="local: memory to offer; 0: three quarters of the machine's")
@click.option(
    "--engine", "kind", type=click.Choice(["local", "slurm", "ray", "kubernetes", "brain"]), default="local",
    show_default=True,
)  # fmt: skip
@click.option(
    "--engine-url", "engine_url", default="", help="of slurmrestd, Ray's dashboard, the API server or the lending brain"
)
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="file with the token")
@click.option("--engine-user", "user", default="", help="slurm: whose token it is; the agent's user by default")
@click.option("--partition", default="", help="slurm: partition; the cluster's default by default")
@click.option(
    "--shared", type=click.Path(file_okay=False, path_type=Path), help="folder that agent and nodes see under one path"
)
@click.option("--ca-file", type=click.Path(dir_okay=False, path_type=Path), help="kubernetes: who signed the API's key")
@click.option("--namespace", default="", help="kubernetes: where Jobs are made")
@click.option("--image", default="", help="kubernetes: image of Jobs, with bash and what jobs need")
@click.option("--service-account", default="", help="kubernetes: of pods; the namespace's default by default")
@click.option(
    "--volume-claim", "claim", default="", help="kubernetes: the claim that is --shared; a host path by default"
)
@click.option("--kueue-queue", default="", help="kubernetes: LocalQueue of Kueue that admits Jobs")
@click.option("--pod-scheduler", "scheduler", default="", help="kubernetes: scheduler of pods, such as volcano")
@click.option("--volcano-queue", default="", help="kubernetes: queue of Volcano")
@click.option("--loan", default="", help="brain: 出借的编号 id of the loan at the lending brain")
@click.option("--desk", default="127.0.0.1:0", show_default=True, help="host:port where nodes reach this agent")
def agent(name: str, url: str, key: str, home: Path, **said: Any) -> None:
    """代理 runs the jobs of a computing centre until SIGTERM; jobs outlive it."""
    from brain_kit.settings import PlatformSettings
    from brain_kit.telemetry import configure_logging
    from compute_scheduler.agent.agent import Agent
    from compute_scheduler.agent.engines import EngineOptions, EngineUnclear, engine_of
    from compute_scheduler.agent.figures import beside
    from compute_scheduler.agent.limits import depot_limits
    from compute_scheduler.agent.link import link_to
    from compute_scheduler.settings import Settings

    os.environ.pop("BRAIN_KEY", None)
    settings = Settings(**PlatformSettings(home=home.resolve()).model_dump())
    configure_logging(settings.log_level, settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    root = home.resolve() / name
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    said["url"] = said.pop("engine_url")
    try:
        engine = engine_of(root, settings, EngineOptions(**said))
    except EngineUnclear as unclear:
        raise click.UsageError(str(unclear)) from unclear
    click.echo(f"ready {name} {url}")
    link = link_to(url, key, name)
    beside(engine, link, root, stop)
    Agent(link, root, engine, depot_limits(settings)).run(stop)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    nodes = item["nodes"]
    return {
        **item,
        "nodes": len(nodes),
        "cores": f"{sum(node['cores'] for node in nodes):g}",
        "used_cores": f"{sum(node['used']['cores'] for node in nodes):g}",
        "memory_mb": sum(node["memory_mb"] for node in nodes),
        "jobs": sum(node["used"]["jobs"] for node in nodes),
    }
