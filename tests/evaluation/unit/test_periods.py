"""Periods as users write them."""

from __future__ import annotations

from datetime import date

import pytest
from evaluation.domain.periods import Period, PeriodInvalid, parse_period, previous_year, yearly_windows
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025", "2025-01", "2025-12"),
        ("2025Q3", "2025-07", "2025-09"),
        ("2024-02", "2024-02", "2024-02"),
        ("2024-11..2025-10", "2024-11", "2025-10"),
    ],
)
def test_a_period_is_read_and_written_back(text: str, first: str, last: str) -> None:
    """The four forms."""
    period = parse_period(text)

    assert (period.first, period.last, period.text) == (first, last, text)


WRONG = "|25|2025-13|2025-1|2025Q5|2025-02..2025-01|2025..2026|1800|１９９９|2025-01\n|1990..2100-01|1990-01..2020-01"


@pytest.mark.parametrize("text", WRONG.split("|"))
def test_other_texts_are_refused_with_the_way_to_write_it(text: str) -> None:
    """Wrong months, digits that are not ASCII, reversed ends, more than twenty years."""
    with pytest.raises(PeriodInvalid, match=r"应写作|对调|最多"):
        parse_period(text)


def test_days_follow_the_calendar() -> None:
    """February of a leap year."""
    assert (parse_period("2024-02").first_day, parse_period("2024-02").last_day) == (
        date(2024, 2, 1),
        date(2024, 2, 29),
    )


def test_last_year_and_rolling_windows() -> None:
    """The 上年度 of a day in January, and three windows of twelve months."""
    assert previous_year(date(2026, 1, 1)).text == "2025"
    assert [window.text for window in yearly_windows("2025-12", 3)] == ["2024-11..2025-10", "2024-12..2025-11", "2025"]


@given(st.integers(1990, 2090), st.integers(1, 12), st.integers(0, 119))
def test_every_period_reads_back_from_its_text(year: int, month: int, more: int) -> None:
    """text and parse_period are inverse; the months are as many as the length."""
    first = f"{year}-{month:02d}"
    period = Period(first, Period(first, first).shifted(more).last)

    assert parse_period(period.text) == period
    assert len(period.months) == period.length == more + 1
    assert (period.months[0], period.months[-1]) == (period.first, period.last)
