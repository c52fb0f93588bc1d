"""Baseline and anomalies on a year of a steel plant's 15-minute readings (UCI, CC BY 4.0)."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from brain_testing.realdata import realdata_dir

from tests.algorithm_dev.running import run

pytestmark = [pytest.mark.realdata]
STEP = timedelta(minutes=15)


def _reactive(row: dict[str, str]) -> dict[str, float]:
    lagging, leading = "Lagging_Current_Reactive_Power_kVarh", "Leading_Current_Reactive_Power_kVarh"
    return {"lagging": float(row[lagging]), "leading": float(row[leading])}


@cache
def readings() -> tuple[dict[str, Any], ...]:
    """35,040 readings, each at the begin of its quarter hour: the file names the end, and writes midnight as 00:00."""
    path = realdata_dir() / "energy/steel_industry_2018_15min.csv"
    start = datetime(2018, 1, 1)  # noqa: DTZ001
    with path.open(encoding="utf-8-sig") as file:
        return tuple(
            {"ts": (start + i * STEP).isoformat(), "energy_kwh": float(row["Usage_kWh"]), **_reactive(row)}
            for i, row in enumerate(csv.DictReader(file))
        )


def clean() -> list[dict[str, Any]]:
    """The readings as the component takes them."""
    return [{"ts": row["ts"], "energy_kwh": row["energy_kwh"]} for row in readings()]


def test_readings_spoilt_on_purpose_are_found() -> None:
    """A fault of 300 kWh is added to 200 random readings: 95 % and more are found."""
    rows = clean()
    generator = np.random.default_rng(7)
    places = generator.choice(len(rows), 200, replace=False)
    for place in places:
        rows[place] = rows[place] | {"energy_kwh": rows[place]["energy_kwh"] + 300.0}
    found = {row["ts"].isoformat(): row for row in run("energy-anomaly", rows)}
    caught = sum(found[rows[place]["ts"]]["state"] == "high" for place in places)

    assert caught >= 190
    assert all(row["history"] in (52, 53) for row in found.values())


def test_an_untouched_year_has_no_gaps_and_few_alarms_on_ordinary_days() -> None:
    """The year is whole; alarms gather on unusual days, and half of all days have not
    more than two of 96. A least spread of 10 kWh halves the alarms: quiet nights no longer ring.
    """
    found = run("energy-anomaly", clean())
    by_day: dict[str, int] = defaultdict(int)
    for row in found:
        by_day[row["ts"].date().isoformat()] += row["state"] in ("high", "low")

    assert len(found) == 35_040
    assert {row["state"] for row in found} <= {"normal", "high", "low"}
    assert np.median(list(by_day.values())) <= 2
    calmer = run("energy-anomaly", clean(), least_scale_kwh=10.0)
    assert sum(row["state"] != "normal" for row in calmer) < sum(by_day.values()) / 2


def test_the_baseline_of_daily_energy_equals_least_squares() -> None:
    """Energy of the first ten months on lagging and leading reactive energy, against numpy's least squares."""
    days: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in readings():
        day = days[row["ts"][:10]]
        day[0] += row["energy_kwh"]
        day[1] += row["lagging"]
        day[2] += row["leading"]
    rows = [
        {
            "period": day,
            "role": "baseline" if day < "2018-11-01" else "reporting",
            "energy": values[0],
            "heating_degree_days": values[1],
            "production": values[2],
        }
        for day, values in sorted(days.items())
    ]
    fit = np.array([values for day, values in sorted(days.items()) if day < "2018-11-01"])
    design = np.column_stack([np.ones(len(fit)), fit[:, 1:]])
    beta, *_ = np.linalg.lstsq(design, fit[:, 0], rcond=None)
    residuals = fit[:, 0] - design @ beta
    errors = np.sqrt(residuals @ residuals / (len(fit) - 3) * np.diag(np.linalg.inv(design.T @ design)))
    row = run("energy-baseline", rows, correct_autocorrelation=True)[0]

    assert row["baseline_rows"] == len(fit) == 304
    assert [row["intercept"], row["heating"], row["per_product"]] == pytest.approx(beta, rel=1e-9)
    assert [row["intercept_se"], row["heating_se"], row["per_product_se"]] == pytest.approx(errors, rel=1e-9)
    assert row["autocorrelation"] == pytest.approx(residuals[1:] @ residuals[:-1] / (residuals @ residuals))
    assert row["cv_rmse"] == pytest.approx(np.sqrt(residuals @ residuals / 301) / fit[:, 0].mean())
