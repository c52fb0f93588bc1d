"""`brain component`: find components, read their cards, publish, try and run them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from industry_brain.apiclient import ApiClient, ApiError
from industry_brain.cli.output import connect, connection, show

BASE = "/api/algorithm-dev/v1"
COLUMNS = ("name", "version", "state", "kind", "runtime", "owner", "licence", "subscriptions", "calls")
POLL_S = 1.0


@click.group()
def component() -> None:
    """能力组件 capability components: find, read, publish, try, run."""


@component.command("list")
@click.option("-q", "--query", "words", default="", help="中文或英文词 words in Chinese or English")
@click.option("--kind", help="knowledge, process, mechanism, simulation, flow, algorithm or app")
@click.option("--state", help="draft, submitted, published, rejected or withdrawn")
@connection
def list_components(words: str, kind: str | None, state: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Lists the components that you may see."""
    with connect(url, key) as api:
        items = api.get(f"{BASE}/components", q=words or None, kind=kind, state=state, limit=500)["items"]
        show(items, as_json, COLUMNS)


@component.command("show")
@click.argument("name")
@click.argument("version", required=False)
@connection
def show_component(name: str, version: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Shows a version with its card; without VERSION the newest."""
    with connect(url, key) as api:
        chosen = version or api.get(f"{BASE}/components/{name}")["version"]
        found = api.get(f"{BASE}/components/{name}/versions/{chosen}")
    if as_json:
        show(found, True)
        return
    show({field: found.get(field) for field in ("name", "version", "state", "licence", "digest", "broken")}, False)
    for side in ("inputs", "outputs"):
        show(_fields(found["card"]["signature"][side]), False, ("name", "type", "unit", "title"))
    show(found["card"]["signature"].get("parameters") or [], False, ("name", "type", "default", "unit", "title"))


def _fields(side: dict[str, Any]) -> list[dict[str, Any]]:
    if side["form"] == "tensors":
        return [item | {"type": f"{item['dtype']} {item['shape']}"} for item in side["tensors"]]
    return [{"name": name} | item for name, item in side["schema"]["properties"].items()]


@component.command("publish")
@click.argument("card", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--submit", is_flag=True, help="check and hand in for approval as well")
@connection
def publish(card: Path, submit: bool, url: str, key: str | None, as_json: bool) -> None:
    """Registers the draft of CARD (JSON or YAML) with the files that it names beside it; --submit hands it in.

    Digests and sizes of the files are filled in.
    """
    document = _card(card)
    with connect(url, key) as api:
        for item in document["artefacts"]:
            content = (card.parent / str(item["path"])).read_bytes()
            made = api.put(f"{BASE}/artefacts", content, "application/octet-stream")
            item |= {"sha256": made["sha256"], "bytes": made["size"]}
        place = f"{BASE}/components/{document['name']}/versions/{document['version']}"
        found = _put(api, place, json.dumps(document, ensure_ascii=False).encode())
        if submit:
            found = api.post(f"{place}/submit")
    show(found, as_json, ("name", "version", "state", "digest"))


def _card(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        # YAML reads 1e-06 as a text, so JSON is read as JSON.
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise click.UsageError(f"{path}: 不是 JSON 或 YAML not JSON or YAML: {error}") from error
    if not isinstance(document, dict) or not all(document.get(name) for name in ("name", "version", "artefacts")):
        raise click.UsageError(f"{path}: 卡片要有 name、version、artefacts a card names these three")
    return document


def _put(api: ApiClient, place: str, body: bytes) -> Any:
    try:
        return api.put(place, body, "application/json")
    except ApiError as error:
        if error.code != "precondition_required":
            raise
    # A draft of that version is there: the card replaces it, based on what is there now.
    return api.put(place, body, "application/json", if_match=str(api.get(place)["etag"]))


@component.command("try")
@click.argument("name")
@click.argument("version")
@click.argument("rows", type=click.File("rb"))
@click.option("-p", "--parameter", "parameters", multiple=True, help="NAME=VALUE; repeat it for more")
@connection
def try_component(
    name: str, version: str, rows: Any, parameters: tuple[str, ...], url: str, key: str | None, as_json: bool
) -> None:
    """Calls VERSION (or an alias) with ROWS, a JSON array of rows or an object of tensors; `-` is standard input."""
    try:
        inputs = json.load(rows)
    except ValueError as error:
        raise click.UsageError(f"输入不是 JSON the rows are no JSON: {error}") from error
    body = {"inputs": inputs, "parameters": _parameters(parameters)}
    with connect(url, key) as api:
        answer = api.post(f"{BASE}/components/{name}/versions/{version}/invocations", body)
    if as_json or not isinstance(answer["outputs"], list):
        show(answer, True)
    else:
        show(answer["outputs"], False)


@component.command("run")
@click.argument("name")
@click.argument("version")
@click.option("--dataset", required=True, help="warehouse.dataset that the rows come from")
@click.option("--dataset-version", help="default: the newest, then fixed")
@click.option("--into", required=True, help="warehouse.dataset of the result")
@click.option("--filter", "condition", default="", help="condition over the data set's columns")
@click.option("-m", "--map", "mapping", multiple=True, help="INPUT=COLUMN; repeat it for more")
@click.option("-p", "--parameter", "parameters", multiple=True, help="NAME=VALUE; repeat it for more")
@click.option("--key-column", "columns", multiple=True, help="output column by which later runs replace rows")
@click.option("--wait", "wait_s", default=600.0, show_default=True, help="seconds to wait for the end; 0: do not")
@connection
def run_component(  # noqa: PLR0913 - one parameter an option
    name: str, version: str, dataset: str, dataset_version: str | None, into: str, condition: str,
    mapping: tuple[str, ...], parameters: tuple[str, ...], columns: tuple[str, ...], wait_s: float, url: str,
    key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Runs VERSION over a data set as a job; exit code 6 when the run fails."""
    body = {
        "dataset": dataset,
        "version": dataset_version,
        "into": into,
        "filter": condition,
        "mapping": dict(_pairs(mapping)),
        "parameters": _parameters(parameters),
        "key": list(columns),
    }
    with connect(url, key) as api:
        run = api.post(f"{BASE}/components/{name}/versions/{version}/runs", body)
        deadline, told = time.monotonic() + wait_s, ""
        while not run["is_final"] and time.monotonic() < deadline:
            if run["reason"] != told and not as_json:
                told = run["reason"]
                click.echo(f"{run['state']}: {told}", err=True)
            time.sleep(POLL_S)
            run = api.get(f"{BASE}/runs/{run['id']}")
    show(run, as_json, ("id", "state", "reason", "rows_in", "rows_out", "into", "output_version", "job_id"))
    sys.exit(6 if run["state"] in ("failed", "cancelled") else 0)


def _pairs(given: tuple[str, ...]) -> list[tuple[str, str]]:
    found = [item.partition("=") for item in given]
    if any(not sign for _, sign, _ in found):
        raise click.UsageError("应写成 名=值 write NAME=VALUE")
    return [(name, value) for name, _, value in found]


def _parameters(given: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in _pairs(given):
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
