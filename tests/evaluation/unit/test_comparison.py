"""Ranks, targets and series by hand; a missing value stays missing."""

from __future__ import annotations

import pytest
from evaluation.domain.comparison import Point, against_target, compare_clusters, trend


def test_clusters_are_ranked_and_one_without_a_value_is_not() -> None:
    """7 and 7 share rank 1, 3 is third, unknown has no rank and does not pull the median down."""
    found = compare_clusters({"a": 3.0, "b": 7.0, "c": None, "d": 7.0})

    assert [(item.cluster, item.rank, item.gap) for item in found.standings] == [
        ("b", 1, 0.0), ("d", 1, 0.0), ("a", 3, -4.0), ("c", None, None),
    ]  # fmt: skip
    assert (found.median, found.largest, found.without_value) == (7.0, 7.0, 1)


def test_a_comparison_of_nothing_has_no_median() -> None:
    """All clusters without a value."""
    found = compare_clusters({"a": None})

    assert (found.median, found.largest, found.standings[0].rank) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "target", "state", "share", "gap"),
    [
        (5.0, 4.0, "reached", 1.25, 1.0),
        (4.0, 4.0, "reached", 1.0, 0.0),
        (3.0, 4.0, "short", 0.75, -1.0),
        (0.0, 4.0, "short", 0.0, -4.0),
        (0.0, 0.0, "reached", None, 0.0),
        (None, 4.0, "unknown", None, None),
        (3.0, None, "unknown", None, None),
    ],
)
def test_a_value_against_its_target(
    value: float | None, target: float | None, state: str, share: float | None, gap: float | None
) -> None:
    """Zero is a value, nothing is not; a target of zero has no share."""
    found = against_target(value, target)

    assert (found.state, found.share, found.gap) == (state, share, gap)


def test_a_trend_takes_its_change_from_the_last_two_neighbours() -> None:
    """100 to 120 is a fifth more; the empty year after them is a gap."""
    found = trend([Point("2023", 100.0), Point("2024", 120.0), Point("2025", None)])

    assert (found.last, found.change, found.difference, found.gaps) == (
        Point("2024", 120.0), pytest.approx(0.2), 20.0, ("2025",),
    )  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [(), (None,), (5.0,), (0.0, 5.0), (5.0, None, 5.0)],
)
def test_a_change_needs_two_neighbours_and_no_zero_before(values: tuple[float | None, ...]) -> None:
    """Neither a gap nor a zero is taken for a base."""
    assert trend([Point(str(2020 + n), value) for n, value in enumerate(values)]).change is None
