"""Token buckets, against the plain rule: never more than burst + rate x time in any span."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from service_portal.domain.plans import TokenBucket

GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=80)


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), gaps=GAPS)
def test_no_span_lets_more_through_than_its_rate_and_one_burst(rate: float, burst: int, gaps: list[float]) -> None:
    """For every pair of moments the requests let through between them stay within the rule."""
    now, passed = 0.0, []
    bucket = TokenBucket(rate, burst, now)
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            passed.append(now)

    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + rate * (passed[last] - passed[first])
            assert last - first + 1 <= allowed + 1e-6


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), gaps=GAPS)
def test_whoever_waits_as_told_is_let_through(rate: float, burst: int, gaps: list[float]) -> None:
    """The wait is long enough, and not twice as long as needed."""
    now = 0.0
    bucket = TokenBucket(rate, burst, now)
    for gap in gaps:
        now += gap
        wait_s = bucket.take(now)
        if wait_s:
            assert wait_s <= 1 / rate + 1e-9
            now += wait_s + 1e-6
            assert bucket.take(now) == 0


def test_a_rested_bucket_holds_its_burst_and_no_more() -> None:
    """Rest does not save up beyond the burst: 3 pass after an hour, the fourth waits half a second at 2 a second."""
    bucket = TokenBucket(2, 3, 0.0)
    waits = [bucket.take(3600.0) for _ in range(4)]

    assert waits[:3] == [0, 0, 0]
    assert abs(waits[3] - 0.5) < 1e-9
    assert bucket.remaining == 0
