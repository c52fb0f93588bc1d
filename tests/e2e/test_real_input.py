"""Real public data pushed as three providers: exact counts, joins, the panorama, energy, and who sees what."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from brain_testing.realdata import realdata_dir
from industry_brain.apiclient import ApiClient, ApiError

from tests.e2e.journey import Journey
from tests.e2e.real_input import CHAIN, CONTRACTS, DEFINITION, METER_USCC, RealInput, as_csv

pytestmark = [pytest.mark.realdata, pytest.mark.slow]

NDJSON, CSV = "application/x-ndjson", "text/csv"
PROVIDERS = {"stocks": "91370300MA3C00001U", "places": "91370300MA3C00002Y", "meters": METER_USCC}


@pytest.fixture(scope="module")
def real() -> RealInput:
    """The files, read without the platform."""
    return RealInput(realdata_dir())


@pytest.fixture(scope="module")
def loaded(journey: Journey, real: RealInput) -> Journey:
    """Three providers with their own keys have pushed everything; the chain is registered."""
    for name, body in CONTRACTS.items():
        journey.operator.put(f"/api/data-hub/v1/contracts/{name}", body, "application/yaml")
    for name, uscc in PROVIDERS.items():
        journey.add_organisation(name, uscc, "provider", "370300")
    stocks, places, meters = (journey.as_(name) for name in PROVIDERS)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in real.companies).encode()
    journey.push(stocks, "industry.listed_company", lines, NDJSON)
    journey.push(stocks, "industry.sw_industry", as_csv(real.industries, ["code", "name", "parent"]), CSV)
    columns = ["industry", "upstream_industry", "weight"]
    journey.push(stocks, "industry.sw_upstream", as_csv(real.links, columns), CSV)
    table = as_csv(real.regions, ["code", "name", "level", "parent"])
    journey.push(places, "public.shandong_region", table.decode().encode("gb18030"), "text/csv; charset=gb18030")
    rows = real.meter_rows()
    journey.push(meters, "enterprise.meter_15min", as_csv(rows, list(rows[0])), CSV)
    journey.operator.put(
        f"/api/government-services/v1/chains/{CHAIN}", json.dumps(DEFINITION).encode(), "application/json"
    )
    return journey


def wait_for(check: Callable[[], bool], seconds: float = 240) -> None:
    """Polls until a claim holds; fails when it never does."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not hold in time"
        time.sleep(0.2)


def query(api: ApiClient, sql: str) -> list[dict[str, Any]]:
    """Rows of a query."""
    rows: list[dict[str, Any]] = api.post("/api/data-hub/v1/queries", {"sql": sql, "limit": 10000})["items"]
    return rows


def all_rejects(api: ApiClient, push_id: str) -> list[dict[str, Any]]:
    """Every reject of a push, page after page."""
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = api.get(f"/api/data-hub/v1/pushes/{push_id}/rejects", limit=1000, after=after)
        items += page["items"]
        after = page["next"]
        if after is None:
            return items


def test_counts_equal_the_files(loaded: Journey, real: RealInput) -> None:
    """Every row that keeps the contract is in once; repeated keys and an exchange in the place of a date came back."""
    assert len(real.companies) == 4654
    assert len(real.links) == 5256
    assert len(real.meter) == 35040
    expected = {
        "industry.listed_company": len(real.good_companies()),
        "industry.sw_industry": len(real.first_by(real.industries, "code")),
        "industry.sw_upstream": len(real.first_by(real.links, "industry", "upstream_industry")),
        "public.shandong_region": 153 + 1853,
        "enterprise.meter_15min": 35040,
    }

    counted = {name: query(loaded.operator, f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in expected}

    assert counted == expected
    receipt = loaded.receipts["industry.listed_company"]
    assert (receipt["received"], receipt["accepted"]) == (4654, expected["industry.listed_company"])
    misplaced = len(real.companies) - len(real.dated_companies())
    codes = Counter(reject["code"] for reject in all_rejects(loaded.as_("stocks"), receipt["id"]))
    assert codes == {"wrong_type": misplaced, "duplicate_key": 4654 - misplaced - expected["industry.listed_company"]}


def test_joins_equal_the_files(loaded: Journey, real: RealInput) -> None:
    """Companies per industry and regions per level, by SQL and by hand."""
    levels = {row["level"]: row["n"] for row in query(
        loaded.operator, "SELECT level, count(*) AS n FROM public.shandong_region GROUP BY level"
    )}  # fmt: skip
    assert levels == {"province": 1, "city": 16, "county": 136, "town": 1853}

    rows = query(
        loaded.operator,
        "SELECT i.code, count(*) AS n FROM industry.listed_company c JOIN industry.sw_industry i"
        " ON c.sw_industry_code = i.code GROUP BY i.code",
    )
    known = {row["code"] for row in real.industries}
    assert {row["code"]: row["n"] for row in rows} == {
        code: len(codes) for code, codes in real.companies_of().items() if code in known
    }


def test_panorama_of_an_industry_equals_a_calculation_from_the_files(loaded: Journey, real: RealInput) -> None:
    """Enterprises, suppliers and customers of the industry with most companies."""
    code = real.busiest_industry()
    name = next(row["name"] for row in real.industries if row["code"] == code)
    path = f"/api/government-services/v1/chains/{CHAIN}"
    wait_for(lambda: loaded.operator.get(f"{path}/panorama").get("counts", {}).get("links", 0) > 0)
    wait_for(lambda: len(loaded.operator.get(f"{path}/nodes/{code}")["enterprises"] or []) > 0)

    node = loaded.operator.get(f"{path}/nodes/{code}")
    panorama = loaded.operator.get(f"{path}/panorama")

    assert {item["id"] for item in node["enterprises"]} == real.companies_of()[code]
    up, down = real.neighbours(name)
    assert {item["name"] for item in node["upstream"]} == up
    assert {item["name"] for item in node["downstream"]} == down
    known = {row["name"] for row in real.industries}
    unknown = {row["industry"] for row in real.links} | {row["upstream_industry"] for row in real.links}
    pairs = real.first_by(real.links, "industry", "upstream_industry")
    kept = [row for row in pairs if row["industry"] in known and row["upstream_industry"] in known]
    assert (panorama["counts"]["nodes"], panorama["counts"]["links"]) == (len(known), len(kept))
    assert {end for link in panorama["unresolved_links"] for end in (link["from"], link["to"])} >= unknown - known


def test_a_rebuild_from_the_warehouse_gives_the_same_model(loaded: Journey) -> None:
    """The model kept by events equals the one computed from the warehouse alone."""
    path = f"/api/government-services/v1/chains/{CHAIN}"

    def same() -> bool:
        return bool(loaded.operator.post(f"{path}/rebuild")["same"])

    wait_for(lambda: loaded.operator.get(f"{path}/panorama").get("counts", {}).get("enterprises", 0) > 0)
    assert same()


def test_yearly_energy_equals_the_sum_of_the_file(loaded: Journey, real: RealInput) -> None:
    """35,040 quarter hours of 2018 add up to the file's own sum."""
    total = query(loaded.as_("meters"), "SELECT sum(energy_kwh) AS kwh FROM enterprise.meter_15min")[0]["kwh"]

    assert total == pytest.approx(real.energy_kwh(), rel=1e-9)


def test_no_provider_reads_anothers_rows_by_any_route(loaded: Journey) -> None:
    """Rows, queries, pages, receipts, reject files and statistics show a provider its own and nothing else."""
    stocks, places = loaded.as_("stocks"), loaded.as_("places")
    assert query(places, "SELECT count(*) AS n FROM enterprise.meter_15min")[0]["n"] == 0
    assert query(places, "SELECT count(*) AS n FROM industry.listed_company")[0]["n"] == 0
    assert places.get("/api/data-hub/v1/datasets/enterprise.meter_15min/rows")["items"] == []
    for api in (stocks, places):
        receipt = loaded.receipts["enterprise.meter_15min"]["id"]
        for tail in ("", "/rejects"):
            with pytest.raises(ApiError) as refused:
                api.get(f"/api/data-hub/v1/pushes/{receipt}{tail}")
            assert refused.value.status == 404
        seen = {item["owner"] for item in api.get("/api/data-hub/v1/pushes")["items"]}
        assert len(seen) <= 1
        with pytest.raises(ApiError) as hidden:
            api.get(f"/api/government-services/v1/enterprises/{METER_USCC}")
        assert hidden.value.status == 404
        with pytest.raises(ApiError) as events:
            api.get("/api/service-portal/v1/events/lag")
        assert events.value.status in (403, 404)
    code = json.dumps(places.get(f"/api/government-services/v1/chains/{CHAIN}/panorama"), ensure_ascii=False)
    assert "600000" not in code


def test_open_data_sets_are_open_to_all(loaded: Journey) -> None:
    """Industries and regions were pushed for everybody to read."""
    assert query(loaded.as_("meters"), "SELECT count(*) AS n FROM public.shandong_region")[0]["n"] == 2006
