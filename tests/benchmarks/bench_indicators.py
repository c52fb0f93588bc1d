"""Every computable indicator of one cluster, 2,000 enterprises and 36 months, through the query API of the platform."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from brain_testing.process import PlatformProcess
from evaluation.domain.computations import Computation, Scope, computations
from evaluation.domain.outcome import Outcome, judge, judge_statistics
from evaluation.domain.periods import Period, parse_period, yearly_windows
from industry_brain.apiclient import ApiClient
from industry_brain.generator import generate

ENTERPRISES = 2000
YEAR = parse_period("2025")
ROUNDS = 3


def run(enterprises: int = ENTERPRISES) -> dict[str, Any]:
    """The slowest of three rounds of all computations of a year, and the 25 yearly windows that 36 months hold."""
    with tempfile.TemporaryDirectory() as folder, PlatformProcess(Path(folder) / "home") as platform:
        command = [sys.executable, "-m", "industry_brain", "demo", "--url", platform.url, "--home", str(platform.home)]
        subprocess.run([*command, "--json", "--enterprises", str(enterprises)], check=True, capture_output=True)
        key = json.loads((platform.home / "first-credentials.json").read_text())["operator"]["api_key"]
        with ApiClient(platform.url, key) as api:
            return measure(api, enterprises)


def measure(api: ApiClient, enterprises: int) -> dict[str, Any]:
    """The figures, after the values were held against the generator's own tables."""
    cluster = generate(enterprises=enterprises)
    scope = Scope(region="3703", chain=cluster.chain_definition()["id"])
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        outcomes = {name: outcome_of(api, item, YEAR, scope) for name, item in computations().items()}
        rounds.append(time.perf_counter() - started)
    without = {name: outcome.reason for name, outcome in outcomes.items() if outcome.state != "computed"}
    assert not without, without
    check(cluster, outcomes)
    started = time.perf_counter()
    windows = yearly_windows(str(cluster.window[-1])[:7], 25)
    series = [outcome_of(api, computations()["revenue"], window, scope) for window in windows]
    series_s = time.perf_counter() - started
    assert all(outcome.value for outcome in series)
    return {
        f"all {len(outcomes)} computations, {enterprises} enterprises, 36 months": {
            "value": max(rounds),
            "unit": "s",
            "bound": 10,
            "better": "less",
            "note": "rounds " + ", ".join(f"{value:.1f}" for value in rounds) + " s, one after another",
        },
        "25 yearly windows of revenue": {"value": series_s, "unit": "s"},
    }


def outcome_of(api: ApiClient, computation: Computation, period: Period, scope: Scope) -> Outcome:
    """What a computation comes to on the running platform."""
    if computation.source == "statistics":
        return judge_statistics(computation, api.get("/api/data-hub/v1/statistics"))
    query = computation.query(period, scope)
    reply = api.post("/api/data-hub/v1/queries", {"sql": query.sql, "parameters": query.parameters})
    return judge(computation, period, scope, reply["items"][0])


def check(cluster: Any, outcomes: dict[str, Outcome]) -> None:
    """Enterprises, revenue and chain leaders as the generator has them."""
    firms = cluster.firms
    scoped = firms.home & (firms.node >= 0)
    living = scoped & (firms.state == "存续") & (firms.established <= YEAR.last_day)
    assert outcomes["enterprises"].value == int(living.sum())
    assert outcomes["designated_enterprises"].value == int((living & firms.designated).sum())
    chosen = set(firms.uscc[scoped].tolist())
    revenue = 0.0
    for dataset, _, table in cluster.datasets():
        if dataset == "enterprise.enterprise_monthly":
            rows = table.filter(pc.starts_with(table["month"], "2025"))
            pairs = zip(rows["uscc"].to_pylist(), rows["revenue_10k_cny"].to_pylist(), strict=True)
            revenue += sum(value for uscc, value in pairs if uscc in chosen)
    assert abs((outcomes["revenue"].value or 0) * 10_000 - revenue) < 0.01, (outcomes["revenue"], revenue)
