"""Loads the synthetic demonstration cluster 合成数据 through the real API, as the organisations that would push it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from industry_brain.apiclient import ApiClient, ApiError

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = "application/vnd.apache.parquet"
KEYS_FILE = "demo-keys.json"
WAIT_S = 60
LOCAL = "local"
SYNTHETIC = {"source": "合成数据，仅供演示 synthetic, for demonstration", "as_of": "2026-01-01"}
INVENTORY = SYNTHETIC | {
    "region": "370303", "longitude": 118.02, "latitude": 36.81, "storage_tb": 120.0, "racks_built": 12,
    "racks_planned": 40, "dedicated": True, "eflops": {"fp64": 0.002, "fp32": 0.004, "fp16": 0.03, "int8": 0.06},
}  # fmt: skip
PRICES = {
    "core_hour": "0.12", "gib_hour": "0.015", "gb_moved": "0.05", "accelerator_hour": {"A100": "6.5", "*": "3"},
    "note": SYNTHETIC["source"],
}  # fmt: skip
ENERGY = SYNTHETIC | {"core_w": 5.5, "accelerator_w": {"A100": 400, "*": 300}, "pue": 1.3, "carbon_g_kwh": 640}
# A grid with sun: cleanest at noon (hours in UTC), dirtiest in the evening.
GRAMS = (
    560, 530, 500, 480, 470, 475, 490, 520, 580, 650, 700, 720, 715, 705, 690, 680, 670, 665, 660, 660, 665, 670, 650,
    610,
)  # fmt: skip
CARBON = SYNTHETIC | {
    "csv": "hour_utc,370000\n" + "".join(f"2026-01-01T{hour:02d}:00Z,{grams}\n" for hour, grams in enumerate(GRAMS)),
}  # fmt: skip
TARIFF = SYNTHETIC | {
    "region": "370000",
    "csv": "months,from,until,kind,yuan_kwh\n"
    "1-12,23:00,07:00,谷,0.30\n1-12,07:00,08:00,平,0.62\n1-12,08:00,11:00,峰,0.93\n1-12,11:00,15:00,谷,0.35\n"
    "1-12,15:00,17:00,平,0.62\n1-12,17:00,19:00,峰,0.93\n1-12,19:00,21:00,尖,1.12\n1-12,21:00,23:00,平,0.62\n",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One push of the demonstration: so many rows of a data set by an organisation."""

    dataset: str
    organisation: str
    rows: int
    done: int
    total: int


class DemoIncomplete(Exception):
    """Rows of the demonstration were rejected; the generator and the contracts disagree."""


def load(
    api: ApiClient, home: Path, *, enterprises: int = 2000, seed: int = 1, on_step: Callable[[Step], None] | None = None
) -> dict[str, Any]:
    """Makes the organisations and keys, pushes every data set, registers the chain; a repeat loads nothing twice.

    Returns {"rows", "pushes", "chain", "organisations"}. Keys of the generated organisations
    go to demo-keys.json (0600).
    Raises DemoIncomplete, ApiError, PlatformUnreachable.
    """
    from industry_brain.generator import generate

    cluster = generate(seed=seed, enterprises=enterprises)
    keys = _organisations(api, home, cluster.organisations())
    tables = list(cluster.datasets())
    total = sum(table.num_rows for _, _, table in tables)
    done = pushes = 0
    for number, (dataset, owner, table) in enumerate(tables):
        with ApiClient(api.url, keys[owner]) as pusher:
            receipt = pusher.push(
                dataset,
                _parquet(table),
                PARQUET,
                mode="upsert",
                wait_s=WAIT_S,
                idempotency_key=f"demo-{seed}-{enterprises}-{number}",
            )
        if receipt["rejected"] or receipt["state"] == "refused":
            first = (receipt.get("rejects") or receipt.get("problems") or ["?"])[0]
            raise DemoIncomplete(f"{dataset}: {receipt['rejected']} of {table.num_rows} rows rejected, first: {first}")
        done += table.num_rows
        pushes += 1
        if on_step:
            on_step(Step(dataset, owner, table.num_rows, done, total))
    definition = cluster.chain_definition()
    api.put(
        f"/api/government-services/v1/chains/{definition['id']}",
        json.dumps(definition, ensure_ascii=False).encode(),
        "application/json",
    )
    for name, body in cluster.evaluation_clusters().items():
        api.put_json(f"/api/evaluation/v1/clusters/{name}", body)
    _describe_local(api)
    factory = next(item.uscc for item in cluster.organisations() if item.kind == "enterprise")
    with ApiClient(api.url, keys[factory]) as own:
        _assess_factory(own, cluster.last_year)
    return {"rows": done, "pushes": pushes, "chain": definition["id"], "organisations": len(keys)}


def _describe_local(api: ApiClient) -> None:
    """The centre of this machine with place, inventory, prices, energy and tariff, all labelled as synthetic.

    What somebody has stated already stays; without such a centre there is nothing to describe.
    """
    base = "/api/compute-scheduler/v1"
    known = {item["centre"]: item for item in api.get(f"{base}/inventory")["items"]}
    if LOCAL not in known or known[LOCAL]["as_of"]:
        return
    api.put_json(f"{base}/centres/{LOCAL}/inventory", INVENTORY)
    if not api.get(f"{base}/price-lists")["items"]:
        api.post(f"{base}/price-lists", PRICES)
    if not api.get(f"{base}/centres/{LOCAL}/energy")["items"]:
        api.post(f"{base}/centres/{LOCAL}/energy", ENERGY)
    if not api.get(f"{base}/centres/{LOCAL}/carbon")["items"]:
        api.post(f"{base}/centres/{LOCAL}/carbon", CARBON)
    if not api.get(f"{base}/tariffs", centre=LOCAL)["items"]:
        api.post(f"{base}/tariffs", TARIFF)


def _assess_factory(own: ApiClient, year: str) -> None:
    """A factory's own assessment: criteria with a star at level 2, some of level 3; a repeat changes nothing."""
    try:
        made = own.post("/api/evaluation/v1/assessments", {"year": year})
    except ApiError as error:
        if error.status != 409:
            raise
        return
    criteria = [item for category in made["categories"] for item in category["criteria"]]
    marks = {
        item["id"]: {"met": bool(item["stars"][1] or (item["stars"][2] and number % 2)), "note": "示例自评"}
        for number, item in enumerate(criteria)
    }
    own.patch(f"/api/evaluation/v1/assessments/{made['id']}", {"marks": marks})
    own.post(f"/api/evaluation/v1/assessments/{made['id']}/submit", {"note": ""})


def load_with_bar(url: str, home: Path, *, enterprises: int = 2000, quiet: bool = False) -> dict[str, Any] | None:
    """Loads the demonstration behind a progress bar with the operator's first key; None when it is there already."""
    key = json.loads((home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]["api_key"]
    with ApiClient(url, key) as api:
        if (home / KEYS_FILE).exists() and api.get("/api/government-services/v1/chains")["items"]:
            click.echo("演示集群已在 the demonstration cluster is loaded already（合成数据）")
            return None
        if quiet:
            return load(api, home, enterprises=enterprises)
        with _Bar() as advance:
            result = load(api, home, enterprises=enterprises, on_step=advance)
    click.echo(f"✓ 合成数据 synthetic data: {result['rows']:,} 行 rows, {result['pushes']} 次推送 pushes")
    return result


class _Bar:
    """A progress bar on a terminal, one line a data set elsewhere."""

    def __enter__(self) -> Callable[[Step], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bars = None
        if not console.is_terminal:
            return lambda step: click.echo(f"  {step.done:>9,}/{step.total:,} {step.dataset}", err=True)
        self._bars = Progress(
            TextColumn("演示 {task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._bars.start()
        task = self._bars.add_task("合成数据", total=None)

        def advance(step: Step) -> None:
            assert self._bars is not None
            self._bars.update(task, completed=step.done, total=step.total, description=step.dataset)

        return advance

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()


def _organisations(api: ApiClient, home: Path, organisations: list[Any]) -> dict[str, str]:
    """Organisation to API key; keys of an interrupted earlier run are used again."""
    path = home / KEYS_FILE
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for organisation in organisations:
        if organisation.uscc in kept:
            continue
        body = {name: getattr(organisation, name) for name in ("uscc", "name", "kind", "region")} | {"synthetic": True}
        try:
            api.post("/api/identity/v1/organisations", body)
        except ApiError as error:
            if error.status != 409:
                raise
        made = api.post("/api/identity/v1/keys", {"org": organisation.uscc, "name": "demo"})
        kept[organisation.uscc] = made["key"]
        _write_private(path, kept)
    return kept


def _write_private(path: Path, keys: dict[str, str]) -> None:
    partial = path.with_suffix(".part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(keys, file, indent=2)
    partial.replace(path)


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
