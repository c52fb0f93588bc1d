"""Times in and out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from brain_kit.clock import month_of, parse_rfc3339, rfc3339, utc_now
from hypothesis import given
from hypothesis import strategies as st

aware = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]),
)


def test_now_is_aware_and_utc() -> None:
    """The present has a zone."""
    assert utc_now().utcoffset() == timedelta(0)
    assert abs(utc_now().timestamp() - datetime.now(UTC).timestamp()) < 5


def test_rfc3339_is_utc_with_milliseconds_cut_off() -> None:
    """11:04 in Beijing is 03:04 UTC; .123999 is .123."""
    beijing = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 1, 2, 11, 4, 5, 123_999, tzinfo=beijing)) == "2026-01-02T03:04:05.123Z"


def test_times_without_a_zone_are_refused() -> None:
    """A zone is never guessed."""
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 1, 2))  # noqa: DTZ001
    with pytest.raises(ValueError, match="zone"):
        parse_rfc3339("2026-01-02T03:04:05")


def test_the_business_month_is_counted_in_china() -> None:
    """16:30 UTC on 31 January is half past midnight on 1 February in Beijing."""
    moment = datetime(2026, 1, 31, 16, 30, tzinfo=UTC)
    assert month_of(moment) == "2026-02"
    assert month_of(moment, UTC) == "2026-01"


@given(aware)
def test_reading_what_was_written_loses_less_than_a_millisecond(moment: datetime) -> None:
    """What is lost is what milliseconds cannot say."""
    back = parse_rfc3339(rfc3339(moment))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


@given(aware, aware)
def test_texts_sort_as_times_do(one: datetime, other: datetime) -> None:
    """Lists sorted by text are sorted by time."""
    if rfc3339(one) < rfc3339(other):
        assert one < other
