"""`brain push`, `brain query`, `brain datasets`, `brain contract`: data in and out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from industry_brain.apiclient import ApiClient, Progress
from industry_brain.cli.output import connect, connection, show, written_whole

CONTENT_TYPES = {
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.stream",
    ".arrows": "application/vnd.apache.arrow.stream",
}
ANSWERS = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "json": "application/json",
}


@click.command()
@click.argument("dataset")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mode", type=click.Choice(["append", "upsert", "delete"]), default="append", show_default=True)
@click.option("--wait", "wait_s", default=60.0, show_default=True, help="seconds to wait until the rows can be queried")
@click.option("--content-type", help="default: by the file's ending")
@click.option("--idempotency-key", help="a repeat with the same key changes nothing")
@click.option("--rejects", type=click.Path(dir_okay=False, path_type=Path), help="write rejected rows to this CSV file")
@connection
def push(  # noqa: PLR0913 - one parameter an option
    dataset: str, file: Path, mode: str, wait_s: float, content_type: str | None, idempotency_key: str | None,
    rejects: Path | None, url: str, key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """推送 pushes FILE into DATASET, such as enterprise.enterprise_monthly."""
    media = content_type or CONTENT_TYPES.get(file.suffix.lower())
    if media is None:
        raise click.UsageError(f"文件类型未知 unknown file type {file.suffix!r}; name it with --content-type")
    with connect(url, key) as api:
        with _upload_bar(file, as_json) as advance:
            receipt = api.push(
                dataset, file, media, mode=mode, wait_s=wait_s, idempotency_key=idempotency_key, on_progress=advance
            )
        if rejects and receipt.get("rejected"):
            with rejects.open("wb") as out:
                api.download("GET", f"/api/data-hub/v1/pushes/{receipt['id']}/rejects", out, accept="text/csv")
    _show_receipt(receipt, as_json)
    sys.exit(6 if receipt["state"] == "refused" else 5 if receipt["rejected"] else 0)


def _show_receipt(receipt: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(receipt, True)
        return
    show(receipt, False, ("id", "state", "received", "accepted", "rejected", "snapshot"))
    for reject in receipt.get("rejects", []):
        place = f"第 {reject['row']} 行 row {reject['row']}, {reject['field']} = {reject['value']!r}"
        click.echo(f"  {place}: {reject['reason']} → {reject['fix']}", err=True)


@contextmanager
def _upload_bar(file: Path, quiet: bool) -> Iterator[Any]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    with Bars("推送", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task("push", total=file.stat().st_size)

        def advance(progress: Progress) -> None:
            bars.update(task, completed=progress.sent)

        yield advance


@click.command()
@click.argument("sql")
@click.option("--format", "answer", type=click.Choice([*ANSWERS, "table"]), default="table", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="write to a file, not to the screen"
)
@connection
def query(sql: str, answer: str, output: Path | None, url: str, key: str | None, as_json: bool) -> None:
    """查询 asks SQL; tables are named warehouse.dataset. `-` reads the SQL from standard input."""
    text = sys.stdin.read() if sql == "-" else sql
    with connect(url, key) as api:
        if answer == "table" and output is None and not as_json:
            result = api.post("/api/data-hub/v1/queries", {"sql": text})
            show(result["items"], False, [column["name"] for column in result["columns"]])
            if result.get("next"):
                click.echo("还有更多行，导出全部 more rows follow; export all: --format csv -o FILE", err=True)
            return
        accept = ANSWERS["json" if answer == "table" else answer]
        with _target(output) as out:
            api.download("POST", "/api/data-hub/v1/queries", out, accept=accept, body={"sql": text})


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    with written_whole(output) as file:
        yield file


@click.command()
@click.argument("name", required=False)
@connection
def datasets(name: str | None, url: str, key: str | None, as_json: bool) -> None:
    """数据集 lists the data sets, or shows one with schema, key and example."""
    with connect(url, key) as api:
        if name is None:
            show(_all_pages(api, "/api/data-hub/v1/datasets"), as_json, ("name", "title", "access", "rows", "version"))
            return
        found = api.get(f"/api/data-hub/v1/datasets/{name}")
    if as_json:
        show(found, True)
        return
    show({field: found.get(field) for field in ("name", "title", "key", "owner", "access", "version")}, False)
    show(found["schema"], False, ("name", "type", "title", "unit", "required"))
    show(found["example"], True)


def _all_pages(api: ApiClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = api.get(path, after=after)
        items += page["items"]
        after = page.get("next")
        if after is None:
            return items


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--allow-breaking", is_flag=True, help="register although old readers may break")
@connection
def contract(name: str, file: Path, allow_breaking: bool, url: str, key: str | None, as_json: bool) -> None:
    """数据合同 registers the ODCS contract FILE (YAML) for data set NAME."""
    with connect(url, key) as api:
        breaking = "allow" if allow_breaking else None
        show(
            api.put(f"/api/data-hub/v1/contracts/{name}", file.read_bytes(), "application/yaml", breaking=breaking),
            as_json,
        )
