"""`python -m brain_testing.servers up|down|status|install`."""

from pathlib import Path

import click

from brain_testing.browser import ensure_chromium
from brain_testing.servers.debian import MissingServer
from brain_testing.servers.ensemble import Ensemble, stop_on_signals
from brain_testing.servers.kubernetes_build import ensure_kubernetes
from brain_testing.servers.packages import (
    ensure_kafka,
    ensure_postgresql,
    ensure_ray,
    ensure_slurm,
    ensure_versitygw,
)
from brain_testing.servers.server import ServerFailed

DIR = click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".servers"), show_default=True,
    help="where data, addresses and process ids lie",
)  # fmt: skip


NEEDED = {
    "postgres": ensure_postgresql,
    "kafka": ensure_kafka,
    "s3": ensure_versitygw,
    "chromium": ensure_chromium,
    "slurm": ensure_slurm,
    "ray": ensure_ray,
    "kubernetes": ensure_kubernetes,
}


@click.group()
def main() -> None:
    """Real PostgreSQL, Kafka and S3 servers on free loopback ports."""


@main.command()
@DIR
@click.option("--detach", is_flag=True, help="return when they are ready and leave them running")
def up(folder: Path, detach: bool) -> None:
    """Start the three servers and write their addresses to DIR/env."""
    stop_on_signals()
    ensemble = Ensemble(folder)
    try:
        seconds = ensemble.up(detached=detach)
    except (MissingServer, ServerFailed) as error:
        raise click.ClickException(str(error)) from error
    for name, running in ensemble.status().items():
        state = f"ready in {seconds[name]:.1f} s" if seconds[name] else "was running"
        click.echo(f"{name:9} 127.0.0.1:{running.ports[0]:<6} {state}")
    click.echo(f"addresses {ensemble.env_file}")
    if not detach:
        _stay(ensemble)


@main.command()
@DIR
@click.option("--remove", is_flag=True, help="also delete their data and DIR")
def down(folder: Path, remove: bool) -> None:
    """Stop what `up` started; data stay for the next `up`."""
    stopped = Ensemble(folder).down(remove=remove)
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@main.command()
@DIR
def status(folder: Path) -> None:
    """Say what runs; ends with 1 unless everything does."""
    known = Ensemble(folder).status()
    for name, running in known.items():
        click.echo(f"{name:9} 127.0.0.1:{running.ports[0]:<6} {'running' if running.is_alive else 'stopped'}")
    if not known:
        click.echo("never started")
    if not known or not all(running.is_alive for running in known.values()):
        raise SystemExit(1)


@main.command()
def install() -> None:
    """Fetch everything `up` and the tests need; names all that is missing and cannot be fetched."""
    missing = []
    for name, ensure in NEEDED.items():
        try:
            click.echo(f"{name:10} {ensure()}")
        except MissingServer as error:
            missing.append(f"{name}: {error}")
    if missing:
        raise click.ClickException("\n".join(missing))


def _stay(ensemble: Ensemble) -> None:
    try:
        ensemble.wait()
        raise click.ClickException("a server has ended; its log lies in its folder")
    except KeyboardInterrupt:
        click.echo("stopping")
    finally:
        ensemble.down()


if __name__ == "__main__":
    main()
