"""What a stretch of work costs: worked by hand, cut where prices change, two sides that sum to zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from compute_scheduler.domain import ledger as rules
from compute_scheduler.domain.hourly import Hourly
from compute_scheduler.domain.ledger import EnergyFactors, PriceList, Usage
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 11, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
amounts = st.integers(0, 10**14)


def usage(hours: float = 1.0, cores: float = 2, gib: float = 4, cards: int = 0) -> Usage:
    """So many cores, GiB and cards for so many hours."""
    seconds = hours * 3600
    return Usage(
        START,
        START + timedelta(hours=hours),
        round(seconds * 1000),
        round(seconds * cores * 1e6),
        round(seconds * gib * (1 << 30) / 1e6 * 1000),
        {"A100": round(seconds * cards * 1000)} if cards else {},
    )


def test_an_hour_costs_what_the_list_says() -> None:
    """2 cores x 0.12 + 4 GiB x 0.015 + 1 card x 6.5 yuan = 0.24 + 0.06 + 6.5 = 6.80 yuan an hour."""
    prices = PriceList("p", "", START, 120_000, 15_000, 0, {"A100": 6_500_000})
    items = rules.priced(usage(cards=1), prices, "charged")
    assert [(one.resource, rules.yuan(one.amount)) for one in items] == [
        ("core", "0.240000"),
        ("memory", "0.060000"),
        ("accelerator:A100", "6.500000"),
    ]


def test_a_kind_without_price_costs_nothing_and_says_so_and_the_star_stands_for_any() -> None:
    """price None is told apart from a price of 0."""
    bare = PriceList("p", "", START, accelerator_hour={"H20": 1})
    assert [one.price for one in rules.priced(usage(cards=1), bare, "charged")] == [0, 0, None]
    starred = PriceList("p", "", START, accelerator_hour={"*": 2_000_000})
    assert rules.priced(usage(cards=1), starred, "charged")[2].amount == 2_000_000


@pytest.mark.parametrize(
    ("outcome", "charge"),
    [
        ("succeeded", "charged"),
        ("failed", "charged"),
        ("cancelled", "charged"),
        ("lost", "providers_fault"),
        ("returned", "providers_fault"),
        ("preempted", "taken_back"),
    ],
)
def test_what_the_provider_answers_for_costs_nothing(outcome: str, charge: str) -> None:
    """A lost node, a fenced centre, a place taken back: quantities stay, the amount is 0."""
    prices = PriceList("p", "", START, 120_000, 15_000)
    assert rules.charge_of(outcome, prices) == charge
    items = rules.priced(usage(), prices, rules.charge_of(outcome, prices))
    assert sum(one.amount for one in items) == (300_000 if charge == "charged" else 0)
    assert [one.quantity for one in items] == [one.quantity for one in rules.priced(usage(), prices, "charged")]


def test_without_any_list_nothing_is_charged() -> None:
    """The entry says that there was no price list."""
    assert rules.charge_of("succeeded", None) == "no_price_list"


def test_the_centres_own_list_comes_before_the_general_one_and_newer_before_older() -> None:
    """By the moment at which the stretch began."""
    lists = [
        PriceList("general", "", START),
        PriceList("newer", "", START + HOUR),
        PriceList("own", "c1", START + 2 * HOUR),
        PriceList("other", "c2", START),
    ]
    found = [rules.in_force(lists, "c1", START + n * HOUR) for n in (-1, 0, 1, 2, 5)]
    assert [one.id if one else None for one in found] == [None, "general", "newer", "own", "own"]


@given(
    st.lists(st.integers(-100, 5000), max_size=6),
    st.integers(1, 4000),
    amounts,
    amounts,
    st.dictionaries(st.sampled_from(["A100", "H20"]), amounts),
)
def test_cutting_loses_nothing(minutes: list[int], length: int, core: int, memory: int, kinds: dict[str, int]) -> None:
    """The stretches follow each other without gap, and every quantity sums to what it was."""
    whole = Usage(START, START + timedelta(minutes=length), core % 10**9, core, memory, kinds)
    parts = rules.cut(whole, [START + timedelta(minutes=at) for at in minutes])
    assert len(parts) == 1 + len({at for at in minutes if 0 < at < length})
    assert [one.started_at for one in parts] == [START, *(one.ended_at for one in parts[:-1])]
    assert parts[-1].ended_at == whole.ended_at
    assert sum(one.core for one in parts) == core
    assert sum(one.memory for one in parts) == memory
    assert sum(one.wall_ms for one in parts) == whole.wall_ms
    assert {kind: sum(one.accelerators[kind] for one in parts) for kind in kinds} == kinds


def test_a_price_that_changes_after_a_quarter_of_the_time_holds_for_three_quarters() -> None:
    """4 hours of 1 core at 1 yuan, after 1 hour at 2 yuan: 1 + 3 x 2 = 7 yuan."""
    lists = [PriceList("a", "", START, 1_000_000), PriceList("b", "", START + HOUR, 2_000_000)]
    parts = rules.cut(usage(hours=4, cores=1, gib=0), [one.valid_from for one in lists])
    amount = 0
    for part in parts:
        amount += sum(one.amount for one in rules.priced(part, rules.in_force(lists, "c", part.started_at), "charged"))
    assert rules.yuan(amount) == "7.000000"


@given(amounts, st.integers(0, 10**12), st.sampled_from(["370300", "other"]))
def test_both_sides_sum_to_zero(core: int, price: int, owner: str) -> None:
    """Whatever the amount; borrowed when tenant and owner differ; and the exact price by decimal arithmetic."""
    whole = Usage(START, START + HOUR, 3_600_000, core, 0)
    amount = sum(one.amount for one in rules.priced(whole, PriceList("p", "", START, price), "charged"))
    exact = (Decimal(core) * price / 3600 / 10**6).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert abs(amount - exact) <= (0 if core * price < 10**27 else 1)
    posted = rules.sides("370300", owner, amount)
    assert sum(part for *_, part in posted) == 0
    assert {ownership for *_, ownership, _ in posted} == {"own" if owner == "370300" else "borrowed"}


def test_energy_and_carbon_follow_the_centres_factors() -> None:
    """2 cores x 5 W + 1 card x 400 W for 1 h = 410 Wh; x PUE 1.3 = 533 Wh; at 530.6 g/kWh = 282.8098 g."""
    factors = EnergyFactors(START, 5000, {"A100": 400_000}, 1300, 530_600)
    energy = rules.energy_uwh(usage(cards=1), factors)
    assert energy == 533_000_000
    assert rules.carbon_ug(energy, rules.carbon_mg_kwh(usage(), factors)) == 282_809_800
    assert rules.energy_uwh(usage(), None) is None
    assert rules.carbon_mg_kwh(usage(), EnergyFactors(START, 1, {}, 1000)) is None
    assert rules.carbon_mg_kwh(usage(), None) is None


def test_carbon_by_the_hour_goes_before_the_fixed_value_once_it_is_there() -> None:
    """2.5 h from midnight at 100, 200, 600 g/kWh: (100 + 200 + 300) / 2.5 = 240; one added later does nothing."""
    stretch = usage(hours=2.5)
    series = Hourly(START.timestamp(), (100.0, 200.0, 600.0))
    fixed = EnergyFactors(START, 1, {}, 1000, 530_600)
    assert rules.carbon_mg_kwh(stretch, fixed, [(START, series)]) == 240_000
    assert rules.carbon_mg_kwh(stretch, None, [(START, Hourly(0.0, (1.0,))), (START + HOUR, series)]) == 240_000
    assert rules.carbon_mg_kwh(stretch, fixed, [(START + 3 * HOUR, series)]) == 530_600


@pytest.mark.parametrize("text", ["", "-1", "1.1234567", "1e3", "NaN", "１", "1,5", "0x1", " 1", "100000"])
def test_a_price_is_an_exact_decimal_and_nothing_else(text: str) -> None:
    """No float form, no sign, no other digits."""
    with pytest.raises(ValueError, match="十进制"):
        rules.micro_of(text)


def test_amounts_are_written_exactly_and_paid_in_fen() -> None:
    """Half a fen goes to the even side, alike on both sides of a posting."""
    assert rules.micro_of("0.1") == 100_000
    assert [rules.yuan(n) for n in (1, -1_500_000, 0)] == ["0.000001", "-1.500000", "0.000000"]
    assert [rules.fen(n) for n in (5000, 15_000, -5000, -15_000, 1_234_567)] == [
        "0.00",
        "0.02",
        "0.00",
        "-0.02",
        "1.23",
    ]


def test_months_follow_each_other_and_closed_ones_are_passed_over() -> None:
    """Over the turn of the year too."""
    assert rules.following("2026-12") == "2027-01"
    assert rules.following("2026-11") == "2026-12"
    assert rules.next_open("2026-11", {"2026-11", "2026-12"}) == "2027-01"
    assert rules.next_open("2026-10", {"2026-11"}) == "2026-10"
