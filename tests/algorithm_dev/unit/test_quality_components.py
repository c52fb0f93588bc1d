"""OEE and control charts: what they say at the edges, and independent oracles for the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.algorithm_dev.running import component, run

SHIFT = {
    "equipment": "press",
    "period": "2026-01-05 A",
    "planned_busy_time_min": 480.0,
    "actual_production_time_min": 400.0,
    "planned_runtime_per_item_s": 30.0,
    "produced_quantity": 700.0,
    "good_quantity": 690.0,
}


@pytest.mark.parametrize(
    ("change", "state", "missing"),
    [
        (
            {"planned_busy_time_min": 0, "actual_production_time_min": 0},
            "no_planned_time",
            {"availability", "effectiveness", "oee"},
        ),
        ({"actual_production_time_min": 0}, "no_production_time", {"effectiveness", "oee"}),
        ({"produced_quantity": 0, "good_quantity": 0}, "nothing_produced", {"quality_ratio", "oee"}),
        ({"good_quantity": 701}, "good_exceeds_produced", {"availability", "effectiveness", "quality_ratio", "oee"}),
        (
            {"actual_production_time_min": 481},
            "production_exceeds_plan",
            {"availability", "effectiveness", "quality_ratio", "oee"},
        ),
        ({"planned_runtime_per_item_s": 60}, "faster_than_planned", set()),
        ({}, "ok", set()),
    ],
)
def test_oee_says_why_a_figure_is_missing(change: dict[str, float], state: str, missing: set[str]) -> None:
    """No zero stands where nothing can be computed; the rows beside are not touched."""
    good, row = run("oee", [SHIFT, SHIFT | change])

    assert good["state"] == "ok"
    assert good["oee"] == pytest.approx(400 / 480 * (30 * 700) / (400 * 60) * 690 / 700)
    assert row["state"] == state
    assert {name for name in ("availability", "effectiveness", "quality_ratio", "oee") if row[name] is None} == missing
    assert row["equipment"] == "press"


def test_every_state_has_a_meaning_in_both_languages() -> None:
    """The words that people see instead of the code."""
    column = component("oee").card.signature.outputs.columns["state"]  # type: ignore[union-attr]

    assert set(column.enum_titles) == set(column.enum or [])


def measurements(means: list[float], half_range: float = 1.0, chart: str = "c") -> list[dict[str, Any]]:
    """Subgroups of two values around each mean."""
    return [
        {"chart": chart, "subgroup": number, "value": mean + side}
        for number, mean in enumerate(means, 1)
        for side in (-half_range, half_range)
    ]


def rules_by_hand(z: list[float], place: int) -> tuple[bool, bool, bool, bool]:
    """The four rules in plain words for one point."""

    def reached(window: int, least: int, sigmas: float) -> bool:
        recent = z[max(0, place - window + 1) : place + 1]
        return any(
            side * z[place] > sigmas and sum(side * value > sigmas for value in recent) >= least for side in (1, -1)
        )

    return reached(1, 1, 3), reached(3, 2, 2), reached(5, 4, 1), reached(8, 8, 0)


@given(st.lists(st.sampled_from([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_the_western_electric_rules_are_those_of_the_handbook(z: list[float]) -> None:
    """Against an implementation that counts window by window; sigma of a mean of two is 1 here."""
    rows = run("spc-xbar-r", measurements(z), use_standard=True, standard_mean=0.0, standard_sigma=float(np.sqrt(2)))

    assert [row["z"] for row in rows] == pytest.approx(z)
    for place, row in enumerate(rows):
        assert tuple(row[f"rule_{rule}"] for rule in (1, 2, 3, 4)) == rules_by_hand(z, place)
        assert row["state"] == ("signal" if any(rules_by_hand(z, place)) else "in_control")


def test_run_lengths_in_control_are_the_published_ones() -> None:
    """Champ and Woodall (1987): 370.40 points to a false signal with rule 1 and 91.75 with all four, on average.

    600 charts of 1,200 points each; a chart without a signal counts its length, which biases rule 1 down by
    exp(-1200/370) = 4 %. Bounds are four standard errors (370/sqrt(600) = 15, 92/sqrt(600) = 3.7) and that bias.
    """
    import duckdb

    charts, points = 600, 1200
    z = np.random.default_rng(20261129).standard_normal((charts, points))
    with duckdb.connect(":memory:") as database:
        grid = np.indices(z.shape).reshape(2, -1)
        columns = {"c": grid[0], "s": grid[1], "v": z.ravel()}
        database.register("z", {key: np.repeat(value, 2) for key, value in columns.items()})
        side = "CASE WHEN (row_number() OVER ()) % 2 = 0 THEN 1 ELSE -1 END"
        database.execute(f"CREATE TABLE input AS SELECT c::VARCHAR AS chart, s AS subgroup, v + {side} AS value FROM z")
        database.execute(
            "CREATE TABLE parameters AS SELECT 0 AS baseline_subgroups, true AS use_standard, "
            "0.0 AS standard_mean, sqrt(2) AS standard_sigma"
        )
        text = component("spc-xbar-r").files["spc-xbar-r.sql"].decode()
        statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        first_of_all, first_of_one = database.execute(
            f"""SELECT avg(every), avg(one) FROM (
                SELECT coalesce(min(subgroup) FILTER (rule_1 OR rule_2 OR rule_3 OR rule_4), {points - 1}) + 1 AS every,
                       coalesce(min(subgroup) FILTER (rule_1), {points - 1}) + 1 AS one
                FROM ({statement}) GROUP BY chart)"""
        ).fetchone() or (0, 0)

    assert first_of_all == pytest.approx(91.75, abs=4 * 3.7)
    assert first_of_one == pytest.approx(370.4 * 0.96, abs=4 * 15)


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (measurements([1.0]), "too_few_subgroups"),
        (measurements([1.0, 2.0], half_range=0.0), "no_variation"),
        ([{"subgroup": 1, "value": 3.0}, {"subgroup": 2, "value": 4.0}], "subgroup_too_small"),
        ([{"subgroup": 1, "value": float(i)} for i in range(26)], "subgroup_too_large"),
        ([*measurements([1.0, 2.0]), {"chart": "c", "subgroup": 3, "value": None}], "missing_values"),
    ],
)
def test_a_chart_without_limits_says_why(rows: list[dict[str, Any]], state: str) -> None:
    """One point, no variation, single values, gaps: no limits and no judgement."""
    last = run("spc-xbar-r", rows)[-1]

    assert last["state"] == state
    assert [last[name] for name in ("mean_upper", "mean_lower", "z", "rule_1", "rule_4")] == [None] * 5


def test_the_factor_table_is_the_published_one() -> None:
    """A2, D3 and D4 of Montgomery's Appendix VI for n = 2, 5, 10, 25 follow from the limits of the result."""
    published = {2: (1.880, 0, 3.267), 5: (0.577, 0, 2.114), 10: (0.308, 0.223, 1.777), 25: (0.153, 0.459, 1.541)}
    for n, (a2, d3, d4) in published.items():
        values = np.linspace(0, 1, n)
        rows = [{"subgroup": group, "value": float(value)} for group in (1, 2) for value in values]
        row = run("spc-xbar-r", rows)[0]

        assert (row["mean_upper"] - row["centre"]) == pytest.approx(a2, abs=6e-4)
        assert row["range_lower"] == pytest.approx(d3, abs=6e-4)
        assert row["range_upper"] == pytest.approx(d4, abs=6e-4)
        assert row["range_centre"] == pytest.approx(1.0)
