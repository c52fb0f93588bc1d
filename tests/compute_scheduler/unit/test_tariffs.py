"""Electricity by the time of use against hand calculation: borders of periods, of days, of months, and bad input."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from brain_kit.clock import CHINA
from compute_scheduler.domain.ledger import Usage
from compute_scheduler.domain.tariffs import BadTariff, electricity, read_tariff, scopes
from hypothesis import given
from hypothesis import strategies as st

HEAD = "months,from,until,kind,yuan_kwh\n"
# Valley 23-7, flat 7-8 and 12-18 and 22-23, peak 8-12 and 18-22; in July and August sharp 19-21 within the peak.
SHANDONG = HEAD + (
    "9-6,23:00,07:00,谷,0.30\n9-6,07:00,08:00,平,0.60\n9-6,08:00,12:00,峰,0.90\n9-6,12:00,18:00,平,0.60\n"
    "9-6,18:00,22:00,peak,0.90\n9-6,22:00,23:00,flat,0.60\n"
    "7 8,23:00,07:00,谷,0.30\n7-8,07:00,08:00,平,0.60\n7-8,08:00,12:00,峰,0.90\n7-8,12:00,19:00,平,0.60\n"
    "7-8,19:00,21:00,尖,1.20\n7-8,21:00,23:00,平,0.60\n"
)
DAY = 8 * 0.3 + 1 * 0.6 + 4 * 0.9 + 6 * 0.6 + 4 * 0.9 + 1 * 0.6  # yuan hours a kWh of an ordinary day


def at(text: str) -> float:
    """Seconds of a time in China."""
    return datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp()


@pytest.mark.parametrize(
    ("from_at", "until_at", "yuan_hours"),
    [
        ("2026-03-02 07:30", "2026-03-02 08:30", 0.5 * 0.6 + 0.5 * 0.9),  # flat to peak
        ("2026-03-02 06:00", "2026-03-02 13:00", 0.3 + 0.6 + 4 * 0.9 + 0.6),  # four periods
        ("2026-03-02 22:30", "2026-03-03 00:15", 0.5 * 0.6 + 1.25 * 0.3),  # over midnight, within the valley
        ("2026-03-02 00:00", "2026-03-03 00:00", DAY),
        ("2026-03-02 09:00", "2026-03-05 10:00", 3 * DAY + 0.9),  # three days and an hour of peak
        ("2026-06-30 21:00", "2026-07-01 20:00", 0.9 + 0.6 + 0.3 * 8 + 0.6 + 4 * 0.9 + 7 * 0.6 + 1.2),  # into July
        ("2026-08-31 20:30", "2026-09-01 07:00", 0.5 * 1.2 + 2 * 0.6 + 8 * 0.3),  # out of August
        ("2024-02-28 23:00", "2024-03-01 07:00", 8 * 0.3 + DAY),  # a leap day
        ("2026-03-02 08:00", "2026-03-02 08:00", 0.0),
    ],
)
def test_energy_costs_each_moment_its_own_price(from_at: str, until_at: str, yuan_hours: float) -> None:
    """A load of one kW: yuan."""
    tariff = read_tariff(SHANDONG.splitlines())
    assert tariff.integral_s(at(from_at), at(until_at)) == pytest.approx(yuan_hours * 3600, rel=1e-12)


@pytest.mark.parametrize(
    ("moment", "kind", "price"),
    [
        ("2026-03-02 06:59:59", "valley", 300_000),
        ("2026-03-02 07:00", "flat", 600_000),
        ("2026-03-02 22:59:59", "flat", 600_000),
        ("2026-03-02 23:00", "valley", 300_000),
        ("2026-06-30 19:30", "peak", 900_000),
        ("2026-07-01 19:30", "sharp", 1_200_000),
    ],
)
def test_a_border_belongs_to_the_period_that_begins_there(moment: str, kind: str, price: int) -> None:
    """In China's time, by month."""
    assert read_tariff(SHANDONG.splitlines()).at(at(moment)) == (kind, price)


@given(st.integers(0, 400 * 24 * 60), st.integers(0, 3 * 24 * 60))
def test_the_integral_is_the_sum_over_minutes(start: int, minutes: int) -> None:
    """Against counting minute by minute."""
    tariff = read_tariff(SHANDONG.splitlines())
    first = at("2026-01-01 00:00") + start * 60
    counted = sum(tariff.at(first + 60 * n)[1] for n in range(minutes)) * 60 / 1e6
    assert tariff.integral_s(first, first + 60 * minutes) == pytest.approx(counted, abs=1e-6)


def test_the_cost_of_a_stretch_is_its_energy_at_the_mean_price() -> None:
    """2 kWh from 07:30 to 08:30: half at 0.60, half at 0.90, so 1.5 yuan; negative for a reversal; unknown stays so."""
    tariff = read_tariff(SHANDONG.splitlines())
    begin = datetime.fromtimestamp(at("2026-03-02 07:30"), UTC)
    usage = Usage(begin, begin + timedelta(hours=1), 3_600_000, 0, 0)
    assert electricity(usage, 2 * 10**9, tariff) == 1_500_000
    assert electricity(usage, -2 * 10**9, tariff) == -1_500_000
    assert electricity(usage, None, tariff) is None
    assert electricity(usage, 10**9, None) is None
    nothing = Usage(begin, begin, 0, 0, 0)
    assert electricity(nothing, 10**9, tariff) == 600_000


def test_hours_of_a_month_tell_every_stretch() -> None:
    """Minutes of the starts, from midnight on."""
    hours = read_tariff(SHANDONG.splitlines()).hours(7)
    assert [start // 60 for start, _, _ in hours] == [0, 7, 8, 12, 19, 21, 23]
    assert sum(Fraction(price) for _, kind, price in hours if kind == "sharp") == 1_200_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "第 1 行"),
        ("months,from,until,kind\n", "第 1 行：列应为"),
        (HEAD, "1 月 00:00 没有时段"),
        (HEAD + "1-12,00:00,23:00,flat,0.5\n", "1 月 23:00 没有时段"),
        (HEAD + "1-12,00:00,24:00,flat,0.5\n3,08:00,09:00,peak,0.9\n", "3 月 08:00 有两个时段"),
        (HEAD + "1-11,00:00,24:00,flat,0.5\n", "12 月 00:00 没有时段"),
        (HEAD + "1-12,00:00,24:00,noon,0.5\n", "第 2 行：时段 'noon'"),
        (HEAD + "1-12,08:00,08:00,flat,0.5\n", "第 2 行：08:00–08:00 没有长度"),
        (HEAD + "1-12,00:00,24:30,flat,0.5\n", "第 2 行：时刻 '24:30'"),
        (HEAD + "1-12,7am,24:00,flat,0.5\n", "第 2 行：时刻 '7am'"),
        (HEAD + "0-12,00:00,24:00,flat,0.5\n", "第 2 行：月份 '0-12'"),
        (HEAD + "summer,00:00,24:00,flat,0.5\n", "第 2 行：月份 'summer'"),
        (HEAD + "1-12,00:00,24:00,flat,-0.5\n", "第 2 行：应为不为负的十进制数"),
        (HEAD + "1-12,00:00,24:00,flat,nan\n", "第 2 行：应为不为负的十进制数"),
        (HEAD + "1-12,00:00,24:00,flat\n", "第 2 行：应有 5 列"),
        (HEAD + "1-12,00:00,24:00,flat,0.5\n" * 501, "最多 500 个时段"),
    ],
)
def test_what_is_no_tariff_is_refused_with_its_line_or_time(text: str, words: str) -> None:
    """Precise words."""
    with pytest.raises(BadTariff, match=words):
        read_tariff(text.splitlines())


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (None, ["c1"]),
        ("370303", ["c1", "370303", "370300", "370000"]),
        ("370300", ["c1", "370300", "370000"]),
        ("370000", ["c1", "370000"]),
    ],
)
def test_the_nearest_scope_comes_first(region: str | None, expected: list[str]) -> None:
    """The centre itself, its county, its city, its province."""
    assert scopes("c1", region) == expected


def test_chinese_columns_and_half_hours_are_read() -> None:
    """As a spreadsheet of a grid company has them."""
    text = "月份,开始,结束,时段,元每千瓦时\n1-12,22:30,7:30,谷,0.25\n1-12,7:30,22:30,平,0.5\n"
    tariff: Any = read_tariff(text.splitlines())
    assert tariff.integral_s(at("2026-05-05 07:00"), at("2026-05-05 08:00")) == pytest.approx(0.375 * 3600)
