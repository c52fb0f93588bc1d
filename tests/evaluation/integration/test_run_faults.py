"""A process killed in the middle of a computation: the next one goes on, over the same versions, each value once."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient

from tests.evaluation.small_cluster import CHAIN, REGION, datasets

pytestmark = [pytest.mark.fault, pytest.mark.slow]

API = "/api/evaluation/v1"
MONTHS = [f"2025-{month:02d}" for month in range(10, 13)]


def test_a_killed_computation_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL between two computations and again later; a patent pushed meanwhile does not enter the run's versions."""
    environment = {
        "BRAIN_EVALUATION_LEASE_S": "2",
        "BRAIN_EVALUATION_QUIET_S": "3600",
        "BRAIN_EVALUATION_PARALLEL": "1",
    }
    with PlatformProcess(tmp_path / "home", env=environment) as process:
        credentials = json.loads((process.home / "first-credentials.json").read_text(encoding="utf-8"))
        api = ApiClient(process.url, credentials["operator"]["api_key"])
        for dataset, rows in datasets().items():
            lines = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows).encode()
            receipt = api.push(dataset, lines, "application/x-ndjson", mode="upsert", wait_s=30)
            assert receipt["rejected"] == 0, receipt
        api.put_json(f"{API}/clusters/small", {"name": "x", "region": REGION, "chain": CHAIN})
        run = api.post(f"{API}/runs", {"cluster": "small", "periods": MONTHS})["id"]

        versions = None
        for more in (1, 60):
            _wait(api, run, more)
            process.kill9()
            process.start()
            found = api.get(f"{API}/runs/{run}")
            versions = versions or found["versions"]
            assert found["versions"] == versions
        patent = {
            "publication_no": "X",
            "uscc": datasets()["public.enterprise"][0]["uscc"],
            "title": "t",
            "kind": "发明",
        }
        line = json.dumps(patent, ensure_ascii=False).encode()
        api.push("public.patent", line, "application/x-ndjson", mode="upsert", wait_s=30)
        ended = _wait(api, run, None)

    assert (ended["state"], ended["done"], ended["versions"]) == ("succeeded", ended["total"], versions)
    written = Counter(_values(process.home, run))
    assert len(written) == ended["total"]
    assert set(written.values()) == {1}
    assert {row[2] for row in _sources(process.home, run) if row[1] == "public.patent"} == {
        versions["public.patent"]["version"]
    }


def _wait(api: ApiClient, run: str, done: int | None) -> dict[str, object]:
    """The run once so many values are written, or at its end."""
    deadline = time.monotonic() + 180
    while True:
        found: dict[str, object] = api.get(f"{API}/runs/{run}")
        assert found["state"] in ("queued", "running", "succeeded"), found
        if found["state"] == "succeeded" or (done is not None and int(str(found["done"])) >= done):
            assert done is None or found["state"] != "succeeded", "the run was too fast to be killed"
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def _values(home: Path, run: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(home / "evaluation.db")) as database:
        return database.execute("SELECT computation, period FROM computed_value WHERE run = ?", (run,)).fetchall()


def _sources(home: Path, run: str) -> list[tuple[str, str, str]]:
    """(computation, data set, version) of every value."""
    with closing(sqlite3.connect(home / "evaluation.db")) as database:
        rows = database.execute("SELECT computation, sources FROM computed_value WHERE run = ?", (run,)).fetchall()
    return [(name, item["dataset"], item["version"]) for name, sources in rows for item in json.loads(sources)]
