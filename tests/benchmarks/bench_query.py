"""What the query API adds to DuckDB: an aggregate over a million rows, against DuckDB on the same Parquet files."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from brain_kit.auth import Principal
from data_hub.domain.tables import DataFileRef, TableState

from tests.data_hub.small_warehouse import OPERATOR, STEEL, ReadingService, contract, principal

ROWS = 1_000_000
FILES = 4
NAME = "enterprise.bench"
COLUMNS = {
    "uscc": ("string", "printf('9137030000000%05d', i % 2000)"),
    "month": ("string", "strftime(DATE '2023-01-01' + INTERVAL (i % 36) MONTH, '%Y-%m')"),
    "region": ("string", "printf('37%04d', hash(i) % 137)"),
    "industry": ("string", "printf('C%02d', hash(i + 1) % 31)"),
    "revenue": ("number", "(hash(i + 2) % 1000000) / 100"),
    "profit": ("number", "(hash(i + 3) % 100000) / 100 - 300"),
    "employees": ("integer", "hash(i + 4) % 5000"),
    "energy": ("number", "(hash(i + 5) % 1000000) / 10"),
    "exports": ("boolean", "hash(i + 6) % 3 = 0"),
    "founded": ("date", "DATE '1990-01-01' + (i % 12000)::INT"),
    "reported": ("timestamp", "TIMESTAMPTZ '2024-01-01 00:00:00+00' + INTERVAL (i % 100000) SECOND"),
    "product": ("string", "concat('产品', hash(i + 7) % 400)"),
}
QUERY = """
    SELECT region, count(*) AS rows, sum(revenue) AS revenue, avg(profit) AS profit, max(energy) AS energy
    FROM {table} WHERE month >= '2023-07' GROUP BY region ORDER BY revenue DESC
"""


def run(rounds: int = 41) -> dict[str, Any]:
    """Interleaved rounds, medians. The API is called as the embedded gateway calls it."""
    with tempfile.TemporaryDirectory() as folder:
        service = ReadingService(Path(folder))
        try:
            paths = fill(service)
            return measure(service, paths, rounds)
        finally:
            service.close()


def fill(service: ReadingService) -> list[str]:
    """The table, as a few files with field ids and row groups as the warehouse writes them."""
    made = contract(NAME, {name: kind for name, (kind, _) in COLUMNS.items()}, ("uscc", "month"))
    service.add(made)
    fields = service.warehouse.states[NAME][0].schema
    ids = ", ".join(f"{item.name}: {item.field_id}" for item in fields)
    values = ", ".join(f"({text})::{_kind(made, name)} AS {name}" for name, (_, text) in COLUMNS.items())
    refs = []
    with duckdb.connect() as connection:
        for number in range(FILES):
            path = service.warehouse.folder / f"tables/bench/{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            span = f"range({number * ROWS // FILES}, {(number + 1) * ROWS // FILES}) t(i)"
            system = f"'{STEEL}' AS _owner, 'psh_{number}' AS _push, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS _pushed_at"
            connection.execute(
                f"COPY (SELECT {system}, {values} FROM {span}) TO '{path}' "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072, FIELD_IDS {{{ids}}})"
            )
            refs.append(DataFileRef(f"tables/bench/{number}.parquet", ROWS // FILES, path.stat().st_size))
    service.warehouse.states[NAME].append(TableState(NAME, fields, tuple(refs), 1, ROWS))
    return [str(service.warehouse.folder / ref.key) for ref in refs]


def measure(service: ReadingService, paths: list[str], rounds: int) -> dict[str, Any]:
    """p50 of both sides, and of what does not repeat: another text each time, and an owner's own rows."""
    raw = duckdb.connect()
    owner = principal(STEEL)
    reference_sql = QUERY.format(table=f"read_parquet({paths!r})")
    sql = QUERY.format(table=NAME)
    expected = {row[0]: row[1:] for row in raw.execute(reference_sql).fetchall()}
    for caller in (OPERATOR, owner):
        # Sums of floats differ in their last digits from run to run: threads add in another order.
        for region, *figures in (tuple(item.values()) for item in items(service, caller, sql)):
            assert all(map(math.isclose, figures, expected[region]))
    times: dict[str, list[float]] = {"raw": [], "api": [], "fresh": [], "owner": [], "small": []}
    for number in range(rounds):
        times["raw"].append(timed(lambda: raw.execute(reference_sql).fetchall()))
        times["api"].append(timed(lambda: items(service, OPERATOR, sql)))
        times["fresh"].append(timed(lambda: items(service, OPERATOR, f"{sql} LIMIT {100_000 + number}")))  # noqa: B023
        times["owner"].append(timed(lambda: items(service, owner, sql)))
        times["small"].append(timed(lambda: items(service, OPERATOR, "SELECT 42 AS n")))
    middle = {name: statistics.median(found) for name, found in times.items()}
    raw.close()
    return {
        "aggregate over 1 M rows through the API / DuckDB": {
            "value": middle["api"] / middle["raw"],
            "unit": "x",
            "bound": 1.3,
            "better": "less",
            "note": f"{middle['api'] * 1e3:.1f} ms against {middle['raw'] * 1e3:.1f} ms",
        },
        "the same, a text never seen before": {"value": middle["fresh"] / middle["raw"], "unit": "x"},
        "the same, by an owner of all rows": {"value": middle["owner"] / middle["raw"], "unit": "x"},
        "smallest query": {"value": middle["small"] * 1e3, "unit": "ms"},
    }


def items(service: ReadingService, caller: Principal, sql: str) -> list[dict[str, Any]]:
    """Rows of a query through the API."""
    reply = service.query(caller, sql)
    assert reply.status == 200, reply.content
    found: list[dict[str, Any]] = reply.json()["items"]
    return found


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _kind(made: Any, name: str) -> str:
    return str(made.column(name).duckdb_type)
