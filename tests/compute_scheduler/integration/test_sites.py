"""What centres tell of price, power and carbon decides where jobs go and is kept with each attempt."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.service import carbon, centres, prices
from compute_scheduler.service.errors import CentreUnknown, EnergyInvalid
from compute_scheduler.service.exchange import Exchange
from compute_scheduler.settings import Settings

from tests.compute_scheduler.books import set_prices
from tests.compute_scheduler.network import NODE, OPERATOR, Network

SERIES = {
    "csv": "hour_utc,a,b\n2025-01-01T00:00Z,600,50\n",
    "zone": None,
    "source": "示例",
    "as_of": date(2025, 12, 31),
}


def two(database: Database, **settings: Any) -> Network:
    """c1 and c2 with a node of four cores each; jobs are tried at c1 first, by the name of its node."""
    network = Network(database, **settings)
    network.open()
    centres.make_centre(database, OPERATOR, centre="c2", title="二号", kind="region")
    network.exchange.open_session("c2", {"instance": "x" * 32, "nodes": [NODE], "capabilities": {}, "held": []})
    return network


def tell_energy(database: Database, centre: str, carbon_g_kwh: int) -> None:
    """100 W a core, PUE 1.5."""
    body = {"core_w": Decimal(100), "accelerator_w": {}, "pue": Decimal("1.5"), "source": "示例"}
    body |= {"carbon_g_kwh": Decimal(carbon_g_kwh)}
    prices.add_energy_factors(database, OPERATOR, centre, body | {"as_of": date(2025, 12, 31), "valid_from": None})


def tell_series(database: Database, centre: str, zone: str) -> dict[str, Any]:
    """600 or 50 g/kWh for ever."""
    return carbon.add_series(database, OPERATOR, centre, SERIES | {"zone": zone})


def site_of(network: Network, job_id: str) -> Any:
    """Where the job's only attempt went and what it was to cost."""
    (attempt,) = network.attempts(job_id)
    return attempt["centre"], attempt["site"]


def test_without_weights_jobs_go_as_before_and_their_costs_are_kept(database: Database) -> None:
    """Two hours of a core and 100 MB: 2 + 2 * 0.5 * 100e6 / 2**30 yuan; 0.3 kWh of 600 g/kWh: 0.18 kg."""
    network = two(database)
    set_prices(database)
    tell_energy(database, "c1", 600)
    job_id = network.submit(time_limit_s=7200)
    network.schedule()

    centre, site = site_of(network, job_id)
    assert centre == "c1"
    assert site["money_yuan"] == pytest.approx(2 + 1e8 / 2**30, abs=1e-6)
    assert (site["energy_kwh"], site["co2_kg"], site["staging_s"]) == (0.3, 0.18, 0.0)
    assert (site["score_s"], site["others"]) == (0.0, [])


def test_nothing_is_kept_where_nothing_is_told(database: Database) -> None:
    """No price list, no energy factors."""
    network = two(database)
    job_id = network.submit()
    network.schedule()

    assert site_of(network, job_id) == ("c1", None)


def test_carbon_by_the_hour_goes_before_the_one_figure_and_decides_when_it_counts(database: Database) -> None:
    """Both tell 600 g/kWh, but c2's series says 50: 0.3 kWh emit 0.015 kg there and 0.18 kg at c1."""
    network = two(database, compute_scheduler_carbon_s=1000.0)
    tell_energy(database, "c1", 600)
    tell_energy(database, "c2", 600)
    tell_series(database, "c2", "a")
    tell_series(database, "c2", "b")
    job_id = network.submit(time_limit_s=7200)
    network.schedule()

    centre, site = site_of(network, job_id)
    assert (centre, site["co2_kg"], site["score_s"]) == ("c2", 0.015, 15.0)
    assert [(other["centre"], other["co2_kg"], other["score_s"]) for other in site["others"]] == [("c1", 0.18, 180.0)]


def test_a_dear_centre_is_passed_over_when_money_counts(database: Database) -> None:
    """One yuan a core hour at c2 and three at c1."""
    network = two(database, compute_scheduler_price_s=60.0)
    set_prices(database, gib_hour="0")
    set_prices(database, gib_hour="0", centre="c1", core_hour="3")
    job_id = network.submit(time_limit_s=3600)
    network.schedule()

    centre, site = site_of(network, job_id)
    assert (centre, site["money_yuan"], site["score_s"]) == ("c2", 1.0, 60.0)
    assert [other["money_yuan"] for other in site["others"]] == [3.0]


def test_a_series_is_listed_with_its_source_and_what_it_says(database: Database) -> None:
    """The newest first; a day's values are told as they repeat."""
    two(database)
    tell_series(database, "c1", "a")
    made = tell_series(database, "c1", "b")

    assert [item["zone"] for item in carbon.list_series(database, "c1")] == ["b", "a"]
    assert (made["hours"], made["now_g_kwh"], made["source"], made["as_of"]) == (1, 50.0, "示例", "2025-12-31")
    assert (made["from"], made["until"]) == ("2025-01-01T00:00:00.000Z", "2025-01-01T01:00:00.000Z")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"zone": None}, "zone", "a、b"),
        ({"zone": "c"}, "zone", "a、b"),
        ({"csv": "hour_utc,a\nyesterday,1\n"}, "csv", "line 2"),
        ({"as_of": date(2100, 1, 1), "zone": "a"}, "as_of", "今天"),
    ],
)
def test_a_wrong_series_is_refused_with_its_field(
    database: Database, change: dict[str, Any], field: str, words: str
) -> None:
    """And nothing is kept."""
    two(database)
    with pytest.raises(EnergyInvalid) as caught:
        carbon.add_series(database, OPERATOR, "c1", SERIES | change)

    (error,) = caught.value.members["errors"]
    assert error["field"] == field
    assert words in error["reason"]
    assert carbon.list_series(database, "c1") == []
    with pytest.raises(CentreUnknown):
        carbon.add_series(database, OPERATOR, "nowhere", SERIES | {"zone": "a"})


def test_intensity_hour_by_hour_repeats_the_series_in_chinas_days(database: Database) -> None:
    """Two hours that alternate: of two days every even UTC hour has the first value; without a series nothing."""
    two(database)
    assert carbon.read_hours(database, "c1", 2)["items"] == []
    body = {"csv": "hour_utc,a\n2025-01-01T00:00Z,600\n2025-01-01T01:00Z,50\n", "zone": "a"}
    carbon.add_series(database, OPERATOR, "c1", SERIES | body)
    found = carbon.read_hours(database, "c1", 2)
    hours = found["items"]
    assert (len(hours), hours[0]["at"][10:], hours[0]["g_kwh"], hours[1]["g_kwh"]) == (
        48,
        "T16:00:00.000Z",
        600.0,
        50.0,
    )
    assert found["series"]["zone"] == "a"
    with pytest.raises(CentreUnknown):
        carbon.read_hours(database, "nowhere", 2)


@pytest.mark.parametrize(
    ("shown", "ahead_s"),
    [(timedelta(seconds=90), 90.0), (timedelta(seconds=-3600), -3600.0), (None, None), ("noon", None)],
)
def test_how_far_an_agents_clock_is_off_is_kept(database: Database, shown: Any, ahead_s: float | None) -> None:
    """By what it shows when its session begins; what is no time is nothing."""
    centres.make_centre(database, OPERATOR, centre="c1", title="一号", kind="edge")
    clock = (utc_now() + shown).isoformat() if isinstance(shown, timedelta) else shown
    told = {"engine": "local"} | ({} if clock is None else {"clock": clock})
    body = {"instance": "x" * 32, "nodes": [NODE], "capabilities": told, "held": []}
    Exchange(database, Settings()).open_session("c1", body)
    kept = centres.get_centre(database, "c1")["capabilities"]
    assert kept["engine"] == "local"
    assert "clock" not in kept
    if ahead_s is None:
        assert "clock_ahead_s" not in kept
    else:
        assert kept["clock_ahead_s"] == pytest.approx(ahead_s, abs=5)
