"""Series by the hour: values, integrals and what is refused, by hand."""

from __future__ import annotations

import pytest
from compute_scheduler.domain.hourly import BadSeries, Hourly, constant, read_hourly
from hypothesis import given
from hypothesis import strategies as st

DAY = Hourly(7200.0, (10.0, 20.0, 60.0))


def test_a_series_repeats_itself_before_and_after() -> None:
    """From 02:00 on 10, 20, 60 and again; 01:00 is the last of the round before."""
    assert [DAY.at(hour * 3600.0) for hour in (1, 2, 3, 4, 5, 2.99)] == [60.0, 10.0, 20.0, 60.0, 10.0, 10.0]
    assert constant(5.0).integral_s(-1e6, 1e6) == 1e7


def test_an_integral_counts_each_part_of_an_hour() -> None:
    """02:30 to 04:15: half an hour of 10, an hour of 20, a quarter of 60: 40 value hours."""
    assert DAY.integral_s(2.5 * 3600, 4.25 * 3600) == (5 + 20 + 15) * 3600
    assert DAY.integral_s(2 * 3600, 11 * 3600) == 3 * 90 * 3600


@given(st.integers(-30_000, 30_000), st.integers(0, 30_000))
def test_an_integral_is_the_sum_of_its_seconds(start: int, length: int) -> None:
    """By counting every ten seconds."""
    start, length = 10 * (start // 10), 10 * (length // 10)

    assert DAY.integral_s(start, start + length) == sum(DAY.at(t) * 10 for t in range(start, start + length, 10))


def test_a_file_is_read_by_column_and_missing_hours_keep_the_value_before() -> None:
    """01:00 and 02:00 are missing; any offset from UTC will do. 2022-01-01T00:00Z is 1,640,995,200 s."""
    found = read_hourly(
        ["hour,a,b", "2022-01-01T00:00Z,1,5", "", "2022-01-01T03:00Z,2,6", "2022-01-01T12:00+08:00,3,7"]
    )

    assert found == {
        "a": Hourly(1_640_995_200.0, (1.0, 1.0, 1.0, 2.0, 3.0)),
        "b": Hourly(1_640_995_200.0, (5.0, 5.0, 5.0, 6.0, 7.0)),
    }


HOUR = "2022-01-01T00:00Z"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "line 1: a column of hours"),
        (["hour"], "line 1: a column of hours"),
        (["hour,a,a", f"{HOUR},1,1"], "no name twice"),
        (["hour,a"], "line 2: there are no values"),
        (["hour,a", f"{HOUR},1,2"], "line 2: 3 columns instead of 2"),
        (["hour,a", "yesterday,1"], "line 2: Invalid isoformat"),
        (["hour,a", "2022-01-01T00:00,1"], "line 2: .* is no whole hour with its offset"),
        (["hour,a", "2022-01-01T00:30Z,1"], "line 2: .* is no whole hour"),
        (["hour,a", f"{HOUR},many"], "line 2: could not convert"),
        (["hour,a", f"{HOUR},-1"], "line 2: a value is not a number from 0 on"),
        (["hour,a", f"{HOUR},nan"], "line 2: a value is not"),
        (["hour,a", f"{HOUR},1", f"{HOUR},1"], "line 3: hours ascend"),
        (["hour,a", f"{HOUR},1", "2022-01-04T00:00Z,1"], "line 3: .* at most 48 in a row"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(lines: list[str], words: str) -> None:
    """Rather than weighing centres by something else."""
    with pytest.raises(BadSeries, match=words):
        read_hourly(lines)


def test_a_series_without_values_is_refused() -> None:
    """It would divide by nothing."""
    with pytest.raises(ValueError, match="at least one value"):
        Hourly(0.0, ())
