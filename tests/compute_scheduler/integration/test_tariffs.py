"""Tariffs and tried price lists on SQLite and PostgreSQL: versions, scopes, the ledger, refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from compute_scheduler.service import inventory, ledger, price_preview, prices, tariffs
from compute_scheduler.service.errors import CentreUnknown, PriceListInvalid, TariffInvalid, VersionTaken

from tests.compute_scheduler.books import NEIGHBOUR, PLAIN, START, account, actor, record, set_prices, two_centres
from tests.compute_scheduler.network import OPERATOR

CSV = "months,from,until,kind,yuan_kwh\n1-12,23:00,07:00,谷,0.30\n1-12,07:00,23:00,平,0.60\n"
BODY: dict[str, Any] = {
    "centre": "c1", "region": None, "csv": CSV, "valid_from": START - timedelta(days=30), "source": "示例文件",
    "as_of": date(2026, 1, 1), "note": "",
}  # fmt: skip
PLACE: dict[str, Any] = {
    "region": "370303", "longitude": None, "latitude": None, "storage_tb": None, "eflops": {}, "racks_built": None,
    "racks_planned": None, "dedicated": False, "as_of": date(2026, 1, 1), "source": "台账",
}  # fmt: skip


def tell_energy(database: Database, centre: str) -> None:
    """A kW a core, PUE 2."""
    body = {"core_w": Decimal(1000), "accelerator_w": {}, "pue": Decimal(2), "carbon_g_kwh": None, "source": "示例"}
    since = {"as_of": date(2026, 1, 1), "valid_from": START - timedelta(days=30)}
    prices.add_energy_factors(database, OPERATOR, centre, body | since)


def posted(database: Database, org: str = NEIGHBOUR) -> list[dict[str, Any]]:
    """The entries of an organisation."""
    return list(ledger.list_entries(database, actor(org), {}, after="", limit=100)["items"])


def test_energy_of_an_entry_costs_what_its_hours_cost(database: Database) -> None:
    """A core from 22:00 to 24:00 in China: 4 kWh, half at 0.60, half at 0.30: 1.8 yuan, no part of the amount."""
    two_centres(database)
    tell_energy(database, "c1")
    tell_energy(database, "c2")
    tariffs.add_tariff(database, OPERATOR, BODY)
    begin = datetime(2026, 9, 10, 14, tzinfo=UTC)
    account(database, *(record(n, org=NEIGHBOUR, centre=f"c{n}", started_at=begin, wall_s=7200.0) for n in (1, 2)))
    ledger.post_pending(database)
    found = {entry["centre"]: entry for entry in posted(database)}
    c1 = found["c1"]
    assert (c1["energy_kwh"], c1["electricity"], c1["amount"]) == (4.0, "1.800000", "0.000000")
    assert (found["c2"]["energy_kwh"], found["c2"]["electricity"]) == (4.0, None)
    back = ledger.correct(database, OPERATOR, int(found["c1"]["id"]), kind="cancel", price_list=None, reason="重复")
    assert back[0]["electricity"] == "-1.800000"


def test_a_new_tariff_cuts_the_stretch_and_holds_after_what_is_posted(database: Database) -> None:
    """An hour at 0.60 and, from the new version on, an hour at 0.90; a version before posted usage is refused."""
    two_centres(database)
    tell_energy(database, "c1")
    tariffs.add_tariff(database, OPERATOR, BODY)
    begin = datetime(2026, 9, 10, 2, tzinfo=UTC)
    dearer = {"csv": CSV.replace("0.60", "0.90"), "valid_from": begin + timedelta(hours=1)}
    tariffs.add_tariff(database, OPERATOR, BODY | dearer)
    account(database, record(1, org=NEIGHBOUR, started_at=begin, wall_s=7200.0))
    ledger.post_pending(database)
    assert [entry["electricity"] for entry in posted(database)] == ["1.200000", "1.800000"]
    with pytest.raises(VersionTaken, match="已经入账"):
        tariffs.add_tariff(database, OPERATOR, BODY | {"valid_from": begin + timedelta(minutes=30)})
    later = BODY | {"valid_from": begin + timedelta(hours=2)}
    tariffs.add_tariff(database, OPERATOR, later)
    with pytest.raises(VersionTaken, match="同一时刻"):
        tariffs.add_tariff(database, OPERATOR, later)


def test_the_nearest_tariff_holds_and_regions_reach_their_centres(database: Database) -> None:
    """The city's holds for a county's centre until the centre has its own; a centre without place has none."""
    two_centres(database)
    inventory.set_inventory(database, OPERATOR, "c1", PLACE)
    assert tariffs.of_centre(database, "c1")["tariff"] is None
    tariffs.add_tariff(database, OPERATOR, BODY | {"centre": None, "region": "370300"})
    found = tariffs.of_centre(database, "c1")
    assert (found["tariff"]["region"], found["tariff"]["region_name"]) == ("370300", "淄博市")
    assert [(one["from"], one["until"], one["kind"], one["yuan_kwh"]) for one in found["hours"]] == [
        ("00:00", "07:00", "valley", "0.300000"),
        ("07:00", "23:00", "flat", "0.600000"),
        ("23:00", "24:00", "valley", "0.300000"),
    ]
    assert tariffs.of_centre(database, "c2")["tariff"] is None
    tariffs.add_tariff(database, OPERATOR, BODY)
    assert tariffs.of_centre(database, "c1")["tariff"]["centre"] == "c1"
    assert len(tariffs.list_tariffs(database, "c1")) == 2
    assert (len(tariffs.list_tariffs(database, None)), tariffs.list_tariffs(database, "c2")) == (2, [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"csv": "months\n"}, "csv"),
        ({"centre": None}, "centre"),
        ({"region": "370300"}, "centre"),
        ({"centre": None, "region": "999999"}, "region"),
        ({"as_of": date(2100, 1, 1)}, "as_of"),
        ({"valid_from": datetime(1999, 1, 1, tzinfo=UTC)}, "valid_from"),
    ],
)
def test_a_wrong_tariff_is_refused_with_its_field(database: Database, changes: dict[str, Any], field: str) -> None:
    """And nothing is kept."""
    two_centres(database)
    with pytest.raises(TariffInvalid) as caught:
        tariffs.add_tariff(database, OPERATOR, BODY | changes)
    assert [error["field"] for error in caught.value.members["errors"]] == [field]
    assert tariffs.list_tariffs(database, None) == []
    with pytest.raises(CentreUnknown):
        tariffs.add_tariff(database, OPERATOR, BODY | {"centre": "nowhere"})
    with pytest.raises(CentreUnknown):
        tariffs.of_centre(database, "nowhere")


def tried(database: Database, **given: Any) -> dict[str, Any]:
    """What a list of the operator's would have cost."""
    return price_preview.preview(database, PLAIN | {"accelerator_hour": {}, "days": 30} | given)


def test_a_list_is_tried_on_what_the_ledger_has(database: Database) -> None:
    """Two core hours and two GiB hours at 1 and 0.5 were 3 yuan; at 2 and 0.5 they are 5. What failed on the centre's
    account stays free, what is older does not count, and nothing is published."""
    two_centres(database)
    set_prices(database)
    now = utc_now() - timedelta(hours=2)
    lost = record(3, started_at=now, outcome="lost")
    old = record(4, started_at=now - timedelta(days=40))
    account(database, record(1, started_at=now), record(2, started_at=now, centre="c2"), lost, old)
    ledger.post_pending(database)
    found = tried(database, core_hour="2", gib_hour="0.5")
    assert (found["amount"], found["would_be"], found["change"], found["change_pct"]) == (
        "3.000000", "5.000000", "2.000000", 66.67,
    )  # fmt: skip
    same = tried(database, core_hour="1", gib_hour="0.5")
    assert (same["would_be"], same["change"]) == ("3.000000", "0.000000")
    one = tried(database, centre="c2", core_hour="4")
    assert [(row["centre"], row["amount"], row["would_be"]) for row in one["centres"]] == [
        ("c2", "1.500000", "4.000000")
    ]
    assert len(prices.list_price_lists(database, None)) == 1


def test_a_general_list_leaves_out_centres_with_their_own(database: Database) -> None:
    """They are named; a kind without a price is too; a centre that is not there is refused, bad amounts by field."""
    two_centres(database)
    now = utc_now() - timedelta(hours=2)
    set_prices(database, centre="c2", core_hour="9")
    account(database, record(1, started_at=now, accelerator_s={"A100": 3600.0}), record(2, started_at=now, centre="c2"))
    ledger.post_pending(database)
    found = tried(database, core_hour="1")
    assert (found["kept_out"], found["unpriced"], found["would_be"]) == (["c2"], ["accelerator:A100"], "1.000000")
    assert found["change_pct"] is None
    with pytest.raises(CentreUnknown):
        tried(database, centre="nowhere")
    with pytest.raises(PriceListInvalid):
        tried(database, core_hour="viel")
    assert found["until"] <= rfc3339(utc_now())
