"""What the command line prints: tables for people, JSON for programs, one line for errors."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlencode

import click

from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable
from industry_brain.backup.errors import BackupRefused

EXIT_CODES = {
    0: "done",
    1: "unexpected error",
    2: "wrong usage",
    3: "platform not reachable",
    4: "credentials refused",
    5: "some rows were rejected",
    6: "refused by the platform",
    7: "something differs or is missing",
    8: "the job failed",
    9: "the job was cancelled",
    10: "the job has not ended in time",
}
DIFFERS = 7
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def fail(error: Exception) -> int:
    """Prints an error in one line and returns the exit code for it."""
    if isinstance(error, ApiError):
        click.echo(f"✗ {error} [{error.code}]", err=True)
        for item in error.problem.get("errors", []):
            click.echo(f"  - {_error_words(item)}", err=True)
        return 4 if error.status in (401, 403) else 6
    if isinstance(error, PlatformUnreachable):
        click.echo(f"✗ 平台没有应答 nothing answers: {error}. 先启动 start it first: brain up", err=True)
        return 3
    if isinstance(error, BackupRefused):
        click.echo(f"✗ {error}", err=True)
        return 6
    click.echo(f"✗ {type(error).__name__}: {error}", err=True)
    return 1


def _error_words(item: Any) -> str:
    """One of several faults in a line: where, what stood there, what is wrong with it."""
    if not isinstance(item, dict):
        return str(item)
    where = item.get("field") or item.get("column") or item.get("path") or ""
    value = "" if item.get("value") is None else f" = {item['value']!r}"
    words = item.get("reason") or item.get("message") or item.get("detail") or ""
    return f"{where}{value}: {words}" if where else str(words or item)


def connection(command: Decorated) -> Decorated:
    """Adds --url, --key and --json to a command that talks to a running platform."""
    command = click.option("--json", "as_json", is_flag=True, help="机器可读 print JSON")(command)
    command = click.option(
        "--key", envvar="BRAIN_KEY", help="接口密钥 API key; default $BRAIN_KEY, else first-credentials.json"
    )(command)
    return click.option(
        "--url", envvar="BRAIN_URL", default="http://127.0.0.1:8080", show_default=True, help="平台地址"
    )(command)


def connect(url: str, key: str | None) -> ApiClient:
    """A client with the given key, else with the operator's first key of ./brain-data."""
    return ApiClient(url, key or first_key())


def first_key() -> str | None:
    """The operator's first key of the home folder, None when it cannot be read."""
    path = os.path.join(os.environ.get("BRAIN_HOME", "./brain-data"), "first-credentials.json")
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["operator"]["api_key"])
    except (OSError, ValueError, KeyError):
        return None


def show(data: Any, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Prints rows as a table, one record line by line, anything as JSON. What is to be copied stays in one piece."""
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
    elif isinstance(data, dict):
        for column in columns or list(data):
            click.echo(f"{column:<12} {_cell(data.get(column))}")
    elif data:
        _table(data, columns or list(data[0]))
    else:
        click.echo("（没有记录 no records）")


@contextmanager
def written_whole(output: Path) -> Iterator[BinaryIO]:
    """A file that bears its name only when everything has been written."""
    partial = output.with_name(output.name + ".part")
    with partial.open("wb") as file:
        yield file
    partial.replace(output)


def save_table(url: str, key: str | None, path: str, given: Mapping[str, str], output: Path) -> dict[str, Any]:
    """Writes a table that the platform exports to a file, in the form that its name ends with; what was written.

    given: the query of the request, without the form. Raises click.UsageError for another ending.
    """
    form = output.suffix.lower().lstrip(".")
    if form not in ("xlsx", "csv"):
        raise click.UsageError(f"文件名应以 .xlsx 或 .csv 结尾 end with .xlsx or .csv, not {output.suffix!r}")
    with connect(url, key) as api, written_whole(output) as file:
        size = api.download("GET", f"{path}?{urlencode(dict(given) | {'format': form})}", file, accept="*/*")
    return {"file": str(output), "bytes": size}


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "✓" if value else "—"
    if isinstance(value, float):
        return f"{value:.12g}"  # as many digits as a sum of floating numbers is good for
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _table(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    # A pipe has no width to keep to; on a narrow screen long cells are folded.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
