"""`brain up`, `brain cluster`, `brain service`, `brain migrate`: running the platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

HOME = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), default=Path("./brain-data"), envvar="BRAIN_HOME",
    show_default=True, help="数据目录 folder of data, keys and logs",
)  # fmt: skip


@click.command()
@HOME
@click.option("--host", default="127.0.0.1", show_default=True, help="地址 address to listen on")
@click.option("--port", default=8080, show_default=True, help="端口")
@click.option(
    "--demo", "with_demo", is_flag=True, help="装入演示集群（合成数据） load the synthetic demonstration cluster"
)
@click.option("--demo-enterprises", default=2000, show_default=True, help="number of enterprises of the demonstration")
def up(home: Path, host: str, port: int, with_demo: bool, demo_enterprises: int) -> None:
    """启动 starts the whole platform, in this process but for the agent; prints `ready URL` when it serves."""
    home = home.resolve()
    os.environ["BRAIN_HOME"] = str(home)
    os.environ.setdefault("BRAIN_COMPUTE_SCHEDULER_LOCAL_APART", "true")
    from industry_brain.memory import end_process, prepare_memory

    prepare_memory()
    from brain_kit.settings import PlatformSettings

    from industry_brain import embedded, homelock

    home.mkdir(parents=True, exist_ok=True)
    with homelock.held(home):
        built = embedded.build(PlatformSettings(home=home))
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compares, does not bind

        def on_ready() -> None:
            click.echo(f"ready {url}")
            sys.stdout.flush()
            if with_demo:
                _load_demo(url, home, demo_enterprises)
            _greet(url, home, built.first_credentials)

        embedded.serve(built, host, port, on_ready)
        end_process()


def _load_demo(url: str, home: Path, enterprises: int) -> None:
    from industry_brain.demo import load_with_bar

    load_with_bar(url, home, enterprises=enterprises)


def _greet(url: str, home: Path, credentials: dict[str, dict[str, str]] | None) -> None:
    lines = ["", f"门户 portal   {url}"]
    if credentials:
        operator = credentials["operator"]
        lines += [
            f"用户 user     {operator['user']}",
            f"口令 password {operator['password']}",
            f"密钥 API key  {operator['api_key']}",
            f"（只显示这一次，已存入 shown once, kept in {home}/first-credentials.json，权限 0600）",
        ]
    else:
        lines.append(f"（首次凭据在 first credentials: {home}/first-credentials.json）")
    lines += [
        "",
        "接下来可以试 three lines to try next:",
        f"  export BRAIN_URL={url} BRAIN_HOME={home} PATH=$PWD/.venv/bin:$PATH",
        "  brain datasets enterprise.enterprise_monthly",
        "  brain query 'SELECT month, sum(revenue_10k_cny) AS revenue FROM enterprise.enterprise_monthly"
        " GROUP BY month ORDER BY month DESC LIMIT 6'",
        "",
    ]
    click.echo("\n".join(lines))
    sys.stdout.flush()


@click.command()
@HOME
@click.option(
    "--env",
    "env_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="addresses of the servers, one NAME=value a line",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--demo", "with_demo", is_flag=True, help="load the synthetic demonstration cluster")
def cluster(home: Path, env_file: Path | None, host: str, port: int, with_demo: bool) -> None:
    """集群 one process per service and worker, watched and started again when one dies."""
    from industry_brain.cluster import run_cluster

    on_ready = (lambda url, folder: _load_demo(url, folder, 2000)) if with_demo else None
    run_cluster(home.resolve(), env_file, host, port, on_ready, greet=_greet)


@click.command()
@click.argument("name")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, help="0: no HTTP, workers only")
@click.option(
    "--roles", default="", help="worker roles of this process: relay,committer,consumer,periodic,scheduler,agent"
)
def service(name: str, host: str, port: int, roles: str) -> None:
    """服务 runs one service, its API, its workers or both; settings come from the environment."""
    from industry_brain.memory import end_process
    from industry_brain.single import run_service

    run_service(name, host, port, [role for role in roles.split(",") if role])
    end_process()


@click.command()
@HOME
def migrate(home: Path) -> None:
    """迁移 brings every service's database to the newest version; safe to run at any time."""
    os.environ["BRAIN_HOME"] = str(home.resolve())
    from brain_kit.service import Platform
    from brain_kit.settings import PlatformSettings

    from industry_brain.wiring import SERVICES

    platform = Platform(PlatformSettings(home=home.resolve()))
    try:
        for name, package in SERVICES.items():
            platform.database(name).migrate(package)
            click.echo(f"✓ {name}")
    finally:
        platform.close()


@click.command("prepare")
@HOME
@click.option("--no-operator", is_flag=True, help="只建库和桶，不建首个运营方 databases and bucket only")
def prepare_command(home: Path, no_operator: bool) -> None:
    """准备 makes bucket, databases and, shown this once, the first operator of a cluster; may be repeated."""
    os.environ["BRAIN_HOME"] = str(home.resolve())
    from brain_kit.settings import PlatformSettings

    from industry_brain.prepare import prepare

    home.mkdir(parents=True, exist_ok=True)
    credentials = prepare(PlatformSettings(home=home.resolve()), with_operator=not no_operator)
    click.echo("✓ 数据库和桶就绪 databases and bucket are ready")
    if credentials:
        for name, value in credentials["operator"].items():
            click.echo(f"  {name}: {value}")
        click.echo(f"  （只显示这一次 shown once; {home}/first-credentials.json）")
    elif not no_operator:
        click.echo("  首个运营方早已建立 the first operator was made before")
