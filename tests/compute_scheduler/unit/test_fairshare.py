"""Decayed usage and dominant share, by hand."""

from __future__ import annotations

import math

import pytest
from compute_scheduler.domain.fairshare import accrued, decayed, dominant_share, mean_past
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Usage
from hypothesis import given
from hypothesis import strategies as st

DAY = 86_400.0


def test_usage_halves_with_each_half_life() -> None:
    """800 core seconds are 400 after one half-life and 100 after three."""
    usage = Usage("t", 0.0, {"cores": 800.0})

    assert decayed(usage, DAY, DAY) == {"cores": 400.0}
    assert decayed(usage, 3 * DAY, DAY) == {"cores": 100.0}
    assert decayed(usage, -DAY, DAY) == {"cores": 800.0}


def test_whoever_always_held_four_cores_held_four_on_average() -> None:
    """The integral of 4 * 2^(-x/H) over all time is 4 H / ln 2; fifty half-lives are all time to 15 digits."""
    usage = accrued(Usage("t", 0.0), resources(4, 0), 0.0, 50 * DAY, DAY)

    assert usage.resource_s["cores"] == pytest.approx(4 * DAY / math.log(2))
    assert mean_past(usage, 50 * DAY, DAY)["cores"] == pytest.approx(4.0)


def test_a_short_segment_counts_nearly_its_length() -> None:
    """A minute of two cores and one card with a half-life of a week: 120 core seconds less 0.01 %."""
    usage = accrued(Usage("t", 0.0), resources(2, 0, {"A100": 1}), 100.0, 160.0, 7 * DAY)

    assert usage.as_of == 160.0
    assert usage.resource_s == {"cores": pytest.approx(120.0, rel=1e-4), "A100": pytest.approx(60.0, rel=1e-4)}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=5), st.randoms())
def test_the_order_in_which_segments_arrive_has_no_meaning(segments: list[tuple[int, int]], rng) -> None:  # type: ignore[no-untyped-def]
    """Reordered reports of ended work give the same usage."""
    shuffled = rng.sample(segments, len(segments))
    totals = []
    for order in (segments, shuffled):
        usage = Usage("t", 0.0)
        for start, length in order:
            usage = accrued(usage, resources(3, 0), start, start + length, 40.0)
        totals.append((usage.as_of, usage.resource_s["cores"]))

    assert totals[0] == pytest.approx(totals[1])


def test_a_segment_that_ends_before_it_starts_is_refused() -> None:
    """Rather than giving usage back."""
    with pytest.raises(ValueError, match="before it starts"):
        accrued(Usage("t", 0.0), resources(1, 0), 10.0, 9.0, DAY)


def test_the_dominant_share_is_the_largest_over_the_weight() -> None:
    """Of 100 cores and 10 cards: 20 cores and 3 cards are 20 % and 30 %; with 10 cores past 30 %, at weight 2 half."""
    total = {"cores": 100.0, "A100": 10.0, "gone": 0.0}

    assert dominant_share({}, {"cores": 20.0, "A100": 3.0}, total, 1.0) == pytest.approx(0.3)
    assert dominant_share({"cores": 30.0}, {"cores": 20.0, "A100": 3.0}, total, 1.0) == pytest.approx(0.5)
    assert dominant_share({"cores": 30.0}, {"cores": 20.0}, total, 2.0) == pytest.approx(0.25)
    assert dominant_share({}, {}, {}, 1.0) == 0.0
