"""Baseline, carbon, anomalies and forecast: what they say at the edges, and hand calculations."""

from __future__ import annotations

import math
import statistics
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from algorithm_dev.domain.check import check_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.algorithm_dev.running import component, run

MONTHS = [f"2025-{month:02d}" for month in range(1, 13)]
HEATING = [620.0, 510, 330, 120, 20, 0, 0, 0, 10, 140, 360, 560]
NOISE = [5.0, -3, 2, -6, 4, 1, -2, 3, -4, 2, -5, 3]


def baseline(saved: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """A year of 1,000 + 2 a degree day with noise, and a reporting year with `saved` less each month."""
    rows = []
    for number, month in enumerate(MONTHS):
        energy = 1000 + 2 * HEATING[number] + NOISE[number]
        rows.append({"period": month, "role": "baseline", "energy": energy, "heating_degree_days": HEATING[number]})
        later = {"period": month.replace("2025", "2026"), "role": "reporting", "heating_degree_days": HEATING[number]}
        rows.append(later | {"energy": 1000 + 2 * HEATING[number] - saved})
    return [row | changes.get(row["period"], {}) for row in rows]


def of(rows: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """The result rows of one role."""
    return [row for row in rows if row["role"] == role]


def test_savings_and_their_uncertainty_are_those_of_guideline_14() -> None:
    """By hand: t(90 %, 10) = 1.812; uncertainty = t 1.26 CV sqrt((1 + 2/n)/m) x expected, n = m = 12."""
    slope, intercept = np.polyfit(HEATING, [1000 + 2 * x + e for x, e in zip(HEATING, NOISE, strict=True)], 1)
    expected = sum(intercept + slope * x for x in HEATING)
    residuals = [1000 + 2 * x + e - intercept - slope * x for x, e in zip(HEATING, NOISE, strict=True)]
    mean = statistics.fmean(1000 + 2 * x + e for x, e in zip(HEATING, NOISE, strict=True))
    cv = math.sqrt(sum(e * e for e in residuals) / 10) / mean
    rows = run("energy-baseline", baseline(saved=100))
    row = of(rows, "reporting")[0]

    assert row["cv_rmse"] == pytest.approx(cv)
    assert row["savings"] == pytest.approx(expected - sum(900 + 2 * x for x in HEATING))
    assert row["savings_uncertainty"] == pytest.approx(1.812 * 1.26 * cv * math.sqrt((1 + 2 / 12) / 12) * expected)
    assert row["savings_share"] == pytest.approx(row["savings"] / expected)
    assert {item["state"] for item in rows} == {"ok"}


def test_savings_below_their_uncertainty_are_not_claimed() -> None:
    """A building that saved nothing must not be praised."""
    assert {row["state"] for row in of(run("energy-baseline", baseline()), "reporting")} == {
        "savings_within_uncertainty"
    }


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (baseline()[:4], "too_few_rows"),
        (of(baseline(), "reporting"), "too_few_rows"),
        ([row | {"heating_degree_days": 5.0} for row in baseline()], "dependent_predictors"),
        ([row | {"cooling_degree_days": 3 * row["heating_degree_days"]} for row in baseline()], "dependent_predictors"),
        ([row | {"energy": 500.0} for row in baseline()], "constant_energy"),
        ([row | {"heating_degree_days": i % 7 * 1.0} for i, row in enumerate(baseline())], "weak_model"),
    ],
)
def test_a_baseline_that_cannot_be_trusted_says_so(rows: list[dict[str, Any]], state: str) -> None:
    """Too few rows, dependent predictors and constant energy give no figures, a weak model a warning."""
    found = run("energy-baseline", rows)

    assert {row["state"] for row in found} == {state}
    if state != "weak_model":
        assert all(
            row[name] is None for row in found for name in ("expected_energy", "savings", "r_squared", "heating")
        )


def test_a_missing_month_withholds_the_savings() -> None:
    """Eleven months of savings are no year of savings; the other months keep their baseline."""
    rows = run("energy-baseline", baseline(saved=100, **{"2026-03": {"energy": None}}))
    march = next(row for row in rows if row["period"] == "2026-03")

    assert march["state"] == "incomplete_row"
    assert march["expected_energy"] is not None
    assert {row["state"] for row in of(rows, "reporting") if row is not march} == {"incomplete_period"}
    assert {row["savings"] for row in rows} == {None}


def test_a_month_given_twice_is_left_out_and_told() -> None:
    """Counting it twice would give it double weight."""
    rows = baseline(saved=100)
    found = run("energy-baseline", [*rows, rows[0]])

    assert [row["state"] for row in found if row["period"] == "2025-01"] == ["repeated_period"] * 2
    assert found[0]["baseline_rows"] == 11


def test_the_t_table_is_students_t() -> None:
    """Each value's tail, by Simpson's rule on the density, is the level to three digits."""
    text = component("energy-baseline").files["energy-baseline.sql"].decode()
    table = text.split("VALUES ", 1)[1].split("\n)", 1)[0].replace("\n", " ")
    rows = [[float(v) for v in item.strip(" ()").split(",")] for item in table.split("),")]

    assert len(rows) == 34
    for df, *quantiles in rows:
        for level, t in zip((0.8, 0.9, 0.95), quantiles, strict=True):
            x = np.linspace(-t, t, 20001)
            constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
            inside = float(np.trapezoid(constant * (1 + x * x / df) ** (-(df + 1) / 2), x))
            assert inside == pytest.approx(level, abs=2e-4)


def test_no_total_of_carbon_is_given_while_a_row_has_none() -> None:
    """A sum without one row would be a false figure."""
    rows = [{"energy": "diesel", "amount": 10.0}, {"energy": "electricity", "amount": 5.0, "factor_year": 1999}]
    found = {row["energy"]: row for row in run("carbon-accounting", rows)}

    assert (found["electricity"]["state"], found["electricity"]["emission_tco2"]) == ("no_factor", None)
    assert found["diesel"]["state"] == "default_factor"
    assert {row["total_tco2"] for row in found.values()} == {None}
    assert run("carbon-accounting", [{"energy": "lng", "amount": None}])[0]["state"] == "missing_amount"


def test_scopes_of_carbon_add_up_by_hand() -> None:
    """2 t diesel, 3 x 10^4 Nm3 gas, 100 MWh in Shandong 2022, 50 GJ heat; own factors go first."""
    rows = [
        {"energy": "diesel", "amount": 2.0},
        {"energy": "natural_gas", "amount": 3.0},
        {"energy": "electricity", "amount": 100.0},
        {"energy": "heat", "amount": 50.0},
        {"energy": "coke", "amount": 1.0, "factor_tco2_per_unit": 3.0},
    ]
    found = run("carbon-accounting", rows, default_region="山东", default_factor_year=2022)
    burnt = 2 * 42.652 * 0.0202 * 0.98 * 44 / 12 + 3 * 389.31 * 0.0153 * 0.99 * 44 / 12 + 3

    assert found[0]["scope_1_tco2"] == pytest.approx(burnt)
    assert found[0]["scope_2_tco2"] == pytest.approx(64.10 + 5.5)
    assert found[0]["total_tco2"] == pytest.approx(burnt + 69.6)
    assert {row["energy"]: row["standard_coal_tce"] for row in found}["electricity"] == pytest.approx(12.29)
    assert {row["energy"]: row["state"] for row in found}["coke"] == "own_factor"
    assert all(row["factor_source"] for row in found)


def readings(weeks: int = 8, start: datetime = datetime(2026, 1, 5)) -> list[dict[str, Any]]:  # noqa: DTZ001
    """A meter with a daily shape and small steps from week to week."""
    return [
        {
            "meter_id": "m1",
            "ts": (start + timedelta(minutes=15 * i)).isoformat(),
            "energy_kwh": 50 + 30 * math.sin(i % 96 / 96 * 2 * math.pi) + i // 672,
        }
        for i in range(weeks * 672)
    ]


def test_spikes_gaps_duplicates_and_stray_times_are_told() -> None:
    """Each reading is judged for itself, and a gap becomes a row."""
    rows = readings()
    rows[3000]["energy_kwh"] *= 4
    rows[3100]["energy_kwh"] = 0.0
    rows[3300]["energy_kwh"] = None
    gone = rows.pop(3200)
    stray = {"meter_id": "m1", "ts": "2026-02-01T08:07:00", "energy_kwh": 3.0}
    found = {row["ts"].isoformat(): row for row in run("energy-anomaly", [*rows, rows[10], stray])}

    assert found[rows[3000]["ts"]]["state"] == "high"
    assert found[rows[3100]["ts"]]["state"] == "low"
    assert found[rows[10]["ts"]]["state"] == "duplicate"
    assert found[gone["ts"]]["state"] == "missing"
    assert found[gone["ts"]]["energy_kwh"] is None
    assert found[rows[3299]["ts"]]["state"] == "missing"
    assert found[stray["ts"]]["state"] == "off_grid"
    assert sum(row["state"] == "normal" for row in found.values()) >= 8 * 672 - 6


def test_week_ends_are_compared_with_week_ends() -> None:
    """A work-day load on a Sunday is unusual although work days have it; ten days are enough history."""
    day = datetime(2026, 1, 5)  # noqa: DTZ001 - a Monday
    rows = [
        {
            "ts": (day + timedelta(days=i, hours=8)).isoformat(),
            "energy_kwh": 10.0 + i % 3 if i % 7 >= 5 else 100.0 + i % 3,
        }
        for i in range(28)
    ]
    rows[27]["energy_kwh"] = 100.0
    found = run("energy-anomaly", rows, season="workday")

    assert {row["ts"].day for row in found if row["state"] == "high"} == {1}


def test_short_histories_and_dead_meters_are_not_judged() -> None:
    """Five weeks are too few for a slot of the week; a meter that always reads zero has no spread."""
    assert {row["state"] for row in run("energy-anomaly", readings(5))} == {"short_history"}
    dead = [row | {"energy_kwh": 0.0} for row in readings(6)]
    assert {row["state"] for row in run("energy-anomaly", dead)} == {"constant"}
    assert [row["state"] for row in run("energy-anomaly", readings(1)[:1])] == ["short_history"]


@given(st.lists(st.floats(0, 1e4), min_size=6, max_size=12))
@settings(max_examples=25, deadline=None)
def test_scores_are_the_robust_z_of_the_slot(values: list[float]) -> None:
    """Against the standard library's medians; half equal readings fall back to the mean deviation."""
    at = [datetime(2026, 1, 1, 8) + timedelta(days=i) for i in range(len(values))]  # noqa: DTZ001
    rows = [{"ts": t.isoformat(), "energy_kwh": v} for t, v in zip(at, values, strict=True)]
    found = {row["ts"]: row for row in run("energy-anomaly", rows, season="day", least_scale_share=0.0)}
    centre = statistics.median(values)
    distances = [abs(v - centre) for v in values]
    mad = statistics.median(distances)
    scale = 1.4826 * mad if mad > 0 else 1.253314 * statistics.fmean(distances)

    for t, value in zip(at, values, strict=True):
        if scale > 0:
            assert found[t]["score"] == pytest.approx((value - centre) / scale, rel=1e-9, abs=1e-9)
        else:
            assert found[t]["state"] == "constant"


def passengers() -> list[dict[str, Any]]:
    """The airline series of the card's golden vector."""
    inputs = component("demand-forecast").card.golden[0].inputs
    assert isinstance(inputs, list)
    return inputs


def test_weights_chosen_here_fit_as_well_as_the_published_ones() -> None:
    """R's optimiser ends at alpha 0.2756, beta 0.0327, gamma 0.8707; the grid's error is within 0.5 % of that one's."""
    published = {"alpha": 0.2755925, "beta": 0.03269295, "gamma": 0.8707292}
    best = run("demand-forecast", passengers())[0]
    reference = run("demand-forecast", passengers(), **published)[0]

    assert best["one_step_rmse"] <= reference["one_step_rmse"] * 1.005
    assert best["one_step_rmse"] < best["last_year_rmse"]
    assert best["state"] == "ok"


def test_intervals_widen_as_the_formula_says() -> None:
    """Yar and Chatfield: months 1 and 2 have the variance factors 1 and 1 + (alpha (1 + beta))^2."""
    alpha, beta = 0.3, 0.1
    first, second = run(
        "demand-forecast", passengers(), horizon=2, multiplicative=False, alpha=alpha, beta=beta, gamma=0.2
    )
    half = 1.959964 * first["one_step_rmse"]

    assert first["upper_95"] - first["forecast"] == pytest.approx(half, rel=1e-6)
    assert second["forecast"] - second["lower_95"] == pytest.approx(
        half * math.sqrt(1 + (alpha * (1 + beta)) ** 2), rel=1e-6
    )


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (lambda rows: rows[:30] + rows[31:], "missing_months"),
        (lambda rows: [*rows, rows[-1]], "missing_months"),
        (lambda rows: [*rows[:-1], rows[-1] | {"demand": None}], "missing_values"),
        (lambda rows: [*rows[:-1], rows[-1] | {"demand": 0.0}], "not_positive"),
        (lambda rows: [row | {"demand": 7.0} for row in rows], "constant"),
    ],
)
def test_a_series_with_holes_gets_no_forecast(spoil: Any, state: str) -> None:
    """The reason stands in place of the figures; a constant series is forecast as itself and said to be constant."""
    found = run("demand-forecast", spoil(passengers()), horizon=3)

    assert [row["state"] for row in found] == [state] * 3
    assert all((row["forecast"] is None) is (state != "constant") for row in found)


def test_forecasts_count_on_over_the_year_and_short_series_are_refused() -> None:
    """Months go on from the last row; fewer than two years are refused by the signature with the number of rows."""
    rows = passengers()[:35]
    found = run("demand-forecast", rows, horizon=15, multiplicative=False)

    assert [(row["forecast_year"], row["forecast_month"]) for row in found][:3] == [(1951, 12), (1952, 1), (1952, 2)]
    assert len(found) == 15
    finding = check_rows(component("demand-forecast").card.signature.inputs, rows[:23])[0]  # type: ignore[arg-type]
    assert "至少要 24 行" in finding.reason


@pytest.mark.parametrize(
    "name", ["carbon-accounting", "demand-forecast", "energy-anomaly", "energy-baseline", "oee", "spc-xbar-r"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, "12", None])
def test_empty_tables_and_values_that_are_no_numbers_are_refused_before_a_component_runs(name: str, value: Any) -> None:
    """NaN, infinity and text are told by row and field; null only where the card allows it."""
    side = component(name).card.signature.inputs
    row = component(name).card.golden[0].inputs[0]  # type: ignore[index]
    number = next(key for key, column in side.columns.items() if column.scalar == "number" and key in row)  # type: ignore[union-attr]
    nullable = side.columns[number].nullable  # type: ignore[union-attr]
    found = check_rows(side, [row | {number: value}] * 24)  # type: ignore[arg-type]

    assert check_rows(side, [])[0].field == "rows"  # type: ignore[arg-type]
    assert {item.field for item in found} == (set() if value is None and nullable else {number})
