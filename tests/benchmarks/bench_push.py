"""How fast pushes become rows: through the gateway of a running platform, against DuckDB alone on the same file.

The references are measured in the same run, in turns with the pushes, and each figure is the best of its rounds:
the machine has neighbours, and the best round is the one they disturbed least. Reference and push write Parquet with
the same codec and level.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import psutil
from brain_contracts.codes import make_uscc
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient

NDJSON, PARQUET = "application/x-ndjson", "application/vnd.apache.parquet"
DATASET = "enterprise.enterprise_monthly"
PROVIDER = make_uscc("370300", 7)
NUMBERS = (
    "revenue_10k_cny", "output_10k_cny", "profit_10k_cny", "tax_10k_cny", "rd_expense_10k_cny", "orders_10k_cny",
    "inventory_10k_cny", "export_10k_cny", "electricity_kwh",
)  # fmt: skip
TYPES = {"uscc": "VARCHAR", "month": "VARCHAR", "employees": "BIGINT"} | dict.fromkeys(NUMBERS, "DOUBLE")
PARQUET_OPTIONS = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880)"
ENTERPRISES = 40_000
ROUNDS = 3


def run(
    rows: int = 1_000_000, memory_bytes: int = 2 << 30, pushers: int = 64, batches: int = 4, batch_rows: int = 100
) -> dict[str, Any]:
    """The first four rows of the table of figures. Smaller arguments give a quick look, not the figures."""
    with tempfile.TemporaryDirectory(prefix="bench-push-") as name:
        folder = Path(name)
        ndjson, parquet = folder / "rows.ndjson", folder / "rows.parquet"
        write_ndjson(ndjson, rows, year=2000)
        read_ndjson(ndjson, parquet)
        with PlatformProcess(folder / "home", env={"BRAIN_LOG_LEVEL": "ERROR"}) as platform:
            hub = Hub(platform)
            figures = many_pushers(hub, pushers, batches, batch_rows)
            figures |= against_duckdb(hub, "NDJSON", ndjson, NDJSON, rows, lambda: read_ndjson(ndjson, folder / "o"))
            figures |= against_duckdb(
                hub, "Parquet", parquet, PARQUET, rows, lambda: copy_parquet(parquet, folder / "o")
            )
            figures |= memory_while_pushing(hub, folder / "large.ndjson", memory_bytes)
    return figures


class Hub:
    """The running platform as a provider uses it."""

    def __init__(self, platform: PlatformProcess) -> None:
        self.process = psutil.Process(platform.pid)
        self.host = platform.url.removeprefix("http://")
        credentials = json.loads((platform.home / "first-credentials.json").read_text())["operator"]
        self.operator = ApiClient(platform.url, credentials["api_key"])
        self.makers = 0

    def provider(self) -> str:
        """The key of a new organisation, whose rows meet no others."""
        self.makers += 1
        uscc = make_uscc("370300", 1000 + self.makers)
        body = {"uscc": uscc, "name": f"bench {self.makers}", "kind": "provider", "region": "370300"}
        self.operator.post("/api/identity/v1/organisations", body)
        return str(self.operator.post("/api/identity/v1/keys", {"org": uscc, "name": "bench"})["key"])

    def push(
        self, connection: http.client.HTTPConnection, key: str, body: Any, media: str, size: int
    ) -> dict[str, Any]:
        """One push on an open connection, waited for until it is committed."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": media, "Content-Length": str(size)}
        headers["Idempotency-Key"] = uuid.uuid4().hex
        connection.request("POST", f"/api/data-hub/v1/datasets/{DATASET}/pushes?wait=300", body, headers)
        receipt: dict[str, Any] = json.loads(connection.getresponse().read())
        assert receipt.get("state") == "committed", receipt
        return receipt

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; large bodies go out in large pieces."""
        return http.client.HTTPConnection(self.host, timeout=600, blocksize=1 << 20)

    def memory_bytes(self) -> int:
        """Memory of the platform with its processes, shared pages counted once."""
        family = [self.process, *self.process.children(recursive=True)]
        total = 0
        for process in family:
            try:
                total += process.memory_info().rss if process == self.process else process.memory_full_info().uss
            except psutil.Error:
                continue
        return total


def write_ndjson(path: Path, rows: int, year: int) -> None:
    """Rows of `enterprise.enterprise_monthly`: 12 columns, every key once."""
    chance = random.Random(1)
    codes = [make_uscc("370300", 50_000 + number) for number in range(ENTERPRISES)]
    pool = [
        ", ".join(f'"{name}": {round(chance.random() * 1e4, 2)}' for name in NUMBERS)
        + f', "employees": {chance.randrange(3000)}'
        for _ in range(20_000)
    ]
    with path.open("w") as out:
        for number in range(rows):
            period, place = divmod(number, ENTERPRISES)
            month = f"{year + period // 12:04d}-{period % 12 + 1:02d}"
            out.write(f'{{"uscc": "{codes[place]}", "month": "{month}", {pool[(number * 7919) % 20_000]}}}\n')


def read_ndjson(source: Path, target: Path) -> None:
    """The reference: DuckDB reads with types and writes Parquet."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items())
    query = f"SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {{{columns}}})"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{target}' {PARQUET_OPTIONS}")


def copy_parquet(source: Path, target: Path) -> None:
    """The reference: DuckDB reads and writes Parquet."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{source}') TO '{target}' {PARQUET_OPTIONS}")


def against_duckdb(
    hub: Hub, name: str, path: Path, media: str, rows: int, reference: Callable[[], None]
) -> dict[str, Any]:
    """Speed of a push as a share of DuckDB's speed; they take turns."""
    pushes, references = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        reference()
        references.append(time.perf_counter() - started)
        key = hub.provider()
        connection = hub.connect()
        started = time.perf_counter()
        with path.open("rb") as body:
            receipt = hub.push(connection, key, body, media, path.stat().st_size)
        pushes.append(time.perf_counter() - started)
        connection.close()
        assert receipt["accepted"] == rows
    note = f"push {min(pushes):.2f} s, DuckDB {min(references):.2f} s, best of {ROUNDS}"
    return {
        f"{rows:,} rows in {name}, share of DuckDB's speed": {
            "value": min(references) / min(pushes), "unit": "x", "bound": 0.5, "note": note,
        }
    }  # fmt: skip


def memory_while_pushing(hub: Hub, path: Path, size: int) -> dict[str, Any]:
    """The most memory the platform holds while a large body comes in."""
    write_ndjson(path, 1000, year=1950)
    write_ndjson(path, round(size / path.stat().st_size * 1000), year=1950)
    peak, ended = hub.memory_bytes(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, hub.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    with path.open("rb") as body:
        receipt = hub.push(hub.connect(), hub.provider(), body, NDJSON, path.stat().st_size)
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    note = f"{path.stat().st_size / 1e9:.2f} GB, {receipt['accepted']:,} rows in {seconds:.1f} s"
    return {"memory while pushing": {"value": peak / 1e6, "unit": "MB", "bound": 700, "better": "less", "note": note}}


def many_pushers(hub: Hub, pushers: int, batches: int, batch_rows: int) -> dict[str, Any]:
    """Rows a second of many pushers to one table against one; all wait for the commit."""
    lines = [
        b"\n".join(
            json.dumps({"uscc": make_uscc("370300", place), "month": f"{2000 + batch:04d}-01"}).encode()
            for place in range(batch_rows)
        )
        for batch in range(max(batches, 10) + 2)
    ]

    def work(count: int) -> None:
        key, connection = hub.provider(), hub.connect()
        ready.wait()
        for body in lines[:count]:
            hub.push(connection, key, body, NDJSON, len(body))

    def timed(workers: int, count: int) -> float:
        nonlocal ready
        ready = threading.Barrier(workers + 1)
        with ThreadPoolExecutor(workers) as pool:
            jobs = [pool.submit(work, count) for _ in range(workers)]
            ready.wait()
            started = time.perf_counter()
            for job in jobs:
                job.result()
            return workers * count * batch_rows / (time.perf_counter() - started)

    ready = threading.Barrier(1)
    timed(1, 2)
    single = max(timed(1, 10) for _ in range(2))
    many = max(timed(pushers, batches) for _ in range(2))
    note = f"{many:,.0f} against {single:,.0f} rows/s, none failed"
    return {
        f"{pushers} pushers of {batch_rows} rows against one": {
            "value": many / single, "unit": "x", "bound": 6, "note": note,
        }
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2, ensure_ascii=False) + "\n")
