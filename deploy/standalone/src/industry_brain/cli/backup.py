"""`brain backup`, `brain restore`, `brain verify`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from industry_brain.cli.output import DIFFERS, show
from industry_brain.cli.running import HOME

SHOWN_DIFFERENCES = 40
FILE = click.Path(dir_okay=False, path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="机器可读 print JSON")


@click.command("backup")
@HOME
@click.option("--to", "target", type=FILE, required=True, help="备份文件 the file to write")
@JSON
def backup_command(home: Path, target: Path, as_json: bool) -> None:
    """备份 writes databases, objects, warehouse tables and keys to one file; the platform may run meanwhile."""
    from industry_brain.backup.taking import back_up

    with _progress("备份 backup", as_json) as on_progress:
        manifest = back_up(home, target, on_progress)
    summary = _summary(manifest) | {"file": str(target.resolve()), "missing": manifest.missing}
    if as_json:
        show(summary, True)
    else:
        click.echo(f"✓ {target}  {_words(summary)}")
        click.echo("  文件含密钥，请妥善保管 the file holds keys: keep it safe (mode 0600)")
    for path in manifest.missing:
        click.echo(f"✗ 数据仓缺少文件 the warehouse lacks {path}", err=True)
    sys.exit(DIFFERS if manifest.missing else 0)


@click.command("restore")
@click.option("--from", "archive", type=FILE, required=True, help="备份文件 the backup")
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), required=True, help="新的数据目录 a new folder"
)
@JSON
def restore_command(archive: Path, home: Path, as_json: bool) -> None:
    """恢复 unpacks a backup into a new home folder and checks every byte; then `brain up --home NEW`."""
    from industry_brain.backup.restoring import restore

    with _progress("恢复 restore", as_json) as on_progress:
        manifest = restore(archive, home, on_progress)
    summary = _summary(manifest) | {"home": str(home.resolve())}
    if as_json:
        show(summary, True)
    else:
        click.echo(f"✓ {home}  {_words(summary)}")
        click.echo(f"  接下来 next: brain verify --home {home} --against {archive}; brain up --home {home}")


@click.command("verify")
@HOME
@click.option("--against", "archive", type=FILE, required=True, help="备份文件 the backup to compare with")
@JSON
def verify_command(home: Path, archive: Path, as_json: bool) -> None:
    """核对 checks a backup and compares it with a home folder; exit code 0 only when nothing differs."""
    from industry_brain.backup.verifying import verify

    with _progress("核对 verify", as_json) as on_progress:
        manifest, differences = verify(home, archive, on_progress)
    summary = _summary(manifest)
    if as_json:
        show(summary | {"same": not differences, "differences": [asdict(one) for one in differences]}, True)
    else:
        for one in differences[:SHOWN_DIFFERENCES]:
            click.echo(f"✗ {one.kind} {one.what}: {one.difference}")
        if len(differences) > SHOWN_DIFFERENCES:
            click.echo(f"  …… 另有 and {len(differences) - SHOWN_DIFFERENCES} more (--json)")
        if differences:
            click.echo(f"✗ {len(differences)} 处不同 differences")
        else:
            click.echo(f"✓ 没有差别 nothing differs: {_words(summary)}")
    sys.exit(DIFFERS if differences else 0)


def _summary(manifest: Any) -> dict[str, Any]:
    tables = [table for tables in manifest.databases.values() for table in tables.values()]
    return {
        "version": manifest.version,
        "made_at": manifest.made_at,
        "files": len(manifest.files),
        "bytes": manifest.content_bytes,
        "databases": len(manifest.databases),
        "database_rows": sum(table.rows for table in tables),
        "datasets": len(manifest.warehouse),
        "dataset_rows": sum(table.rows for table in manifest.warehouse.values()),
        "skipped": manifest.skipped,
    }


def _words(summary: dict[str, Any]) -> str:
    parts = (
        f"{summary['bytes'] / 1e6:,.1f} MB",
        f"{summary['files']:,} 个文件 files",
        f"{summary['databases']} 个数据库 databases ({summary['database_rows']:,} 行 rows)",
        f"{summary['datasets']} 个数据集 data sets ({summary['dataset_rows']:,} 行 rows)",
    )
    return f"{', '.join(parts)}; {summary['made_at']}"


@contextmanager
def _progress(title: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
