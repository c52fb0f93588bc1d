"""The inventory of centres, links, and how centres were used, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from brain_kit.clock import CHINA, utc_now
from brain_kit.database import Database
from compute_scheduler.domain.evenness import jain_index, spread
from compute_scheduler.service import inventory, links, utilisation
from compute_scheduler.service.errors import CentreUnknown, InventoryInvalid, LinkUnknown
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import centres as centre_store
from hypothesis import given
from hypothesis import strategies as st

from tests.compute_scheduler.books import NEIGHBOUR, TENANT, account, actor, record, two_centres
from tests.compute_scheduler.network import NODE, OPERATOR

STATED: dict[str, Any] = {
    "region": "370303",
    "longitude": 118.0,
    "latitude": 36.8,
    "storage_tb": 800.0,
    "eflops": {"fp16": 0.4, "fp64": 0.02},
    "racks_built": 40,
    "racks_planned": 100,
    "dedicated": True,
    "as_of": date(2026, 9, 30),
    "source": "建设台账",
}


def test_sums_count_what_is_stated_and_leave_open_what_is_not(database: Database) -> None:
    """800 + 200 TB; 0.4 EFLOPS of the one that states it; a precision nobody states is None, not 0."""
    two_centres(database)
    before = inventory.read_inventory(database)
    assert (before["total"]["storage_tb"], before["l2p1"]["text"]) == (None, "0 个中心：存储未填，算力未填")
    inventory.set_inventory(database, OPERATOR, "c1", STATED)
    inventory.set_inventory(
        database, OPERATOR, "c2", STATED | {"storage_tb": 200.0, "eflops": {}, "racks_built": None, "dedicated": False}
    )
    found = inventory.read_inventory(database)
    total = found["total"]
    assert (total["centres"], total["stated"], total["storage_tb"], total["racks_built"]) == (2, 2, 1000.0, 40)
    assert (total["racks_planned"], total["dedicated"]) == (200, 1)
    assert total["eflops"] == {"fp64": 0.02, "fp32": None, "fp16": 0.4, "int8": None}
    assert found["kinds"]["industry"]["storage_tb"] is None
    assert found["kinds"]["region"]["storage_tb"] == 800.0
    assert found["l2p1"]["text"] == "2 个中心：1000 TB，0.4 EFLOPS（FP16）"
    assert found["as_of"] == "2026-09-30"
    assert [item["region_name"] for item in found["items"]] == ["张店区", "张店区"]
    again = inventory.set_inventory(database, OPERATOR, "c1", STATED | {"storage_tb": 900.0})
    assert again["storage_tb"] == 900.0


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"region": "990101"}, "region"), ({"latitude": None}, "latitude"), ({"as_of": date(2099, 1, 1)}, "as_of")],
)
def test_a_figure_that_cannot_be_is_refused_by_field(database: Database, changes: dict[str, Any], field: str) -> None:
    """The field; nothing is kept."""
    two_centres(database)
    with pytest.raises(InventoryInvalid) as refused:
        inventory.set_inventory(database, OPERATOR, "c1", STATED | changes)
    assert [item["field"] for item in refused.value.members["errors"]] == [field]
    with pytest.raises(CentreUnknown):
        inventory.set_inventory(database, OPERATOR, "c9", STATED)
    assert inventory.read_inventory(database)["total"]["stated"] == 0


def test_a_link_is_the_same_both_ways(database: Database) -> None:
    """Set from either end it is one link; a link to itself or to nowhere is refused."""
    two_centres(database)
    body = {"capacity_gbit_s": 10.0, "latency_ms": 2.5, "note": "", "as_of": date(2026, 9, 30)}
    links.set_link(database, OPERATOR, "c2", "c1", body)
    links.set_link(database, OPERATOR, "c1", "c2", body | {"capacity_gbit_s": 40.0})
    (link,) = links.list_links(database)
    assert (link["one"], link["other"], link["capacity_gbit_s"]) == ("c1", "c2", 40.0)
    with pytest.raises(InventoryInvalid):
        links.set_link(database, OPERATOR, "c1", "c1", body)
    with pytest.raises(CentreUnknown):
        links.set_link(database, OPERATOR, "c1", "c9", body)
    links.remove_link(database, OPERATOR, "c2", "c1")
    with pytest.raises(LinkUnknown):
        links.remove_link(database, OPERATOR, "c1", "c2")


def test_core_hours_fall_on_the_days_on_which_they_were_used(database: Database) -> None:
    """4 cores for 2 h around midnight in China: an hour each side; with a third hour 8 of 96 core hours."""
    two_centres(database)
    with database.transaction() as session:
        centre_store.save_nodes(session, "c1", [NODE], utc_now())
    midnight = utc_now().astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=1) - timedelta(hours=1)
    account(database, record(1, started_at=start.astimezone(UTC), wall_s=7200.0, core_s=4 * 7200.0))
    account(database, record(2, org=NEIGHBOUR, started_at=start + timedelta(hours=3), wall_s=3600.0, core_s=4 * 3600.0))
    found = utilisation.read_utilisation(database, Actor(OPERATOR), 3)
    c1 = found["centres"][0]
    assert c1["core_hours"] == [4.0, 8.0, 0.0]
    assert c1["utilisation_pct"][:2] == [pytest.approx(100 * 4 / 96, abs=1e-3), pytest.approx(100 * 8 / 96, abs=1e-3)]
    assert found["centres"][1]["mean_pct"] is None  # no node has been reported
    assert [(row["org"], row["core_hours"]) for row in found["tenants"]] == [(TENANT, 8.0), (NEIGHBOUR, 4.0)]
    assert [(row["org"], row["centre"]) for row in found["flows"]] == [(TENANT, "c1"), (NEIGHBOUR, "c1")]
    assert found["jain_index"] == 0.9  # (8 + 4)^2 / (2 x (64 + 16))
    own = utilisation.read_utilisation(database, actor(NEIGHBOUR), 3)
    assert [row["org"] for row in own["tenants"]] == [NEIGHBOUR]
    assert own["tenants_in_all"] == 2


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_jains_index_lies_between_one_nth_and_one(shares: list[float]) -> None:
    """1 for equal shares, 1/n when one has all, None when nobody has any."""
    index = jain_index(shares)
    if not any(share * share for share in shares):
        assert index is None
    else:
        assert index is not None
        assert 1 / len(shares) - 1e-9 <= index <= 1 + 1e-9
    assert jain_index([3.0] * 7) == pytest.approx(1)
    assert jain_index([5.0, 0, 0, 0]) == 0.25


@given(st.integers(-50, 150), st.integers(0, 120), st.floats(0, 1e9))
def test_spreading_keeps_the_amount_that_lies_inside(start: int, length: int, amount: float) -> None:
    """The parts sum to the amount times the part of its time that lies within the stretches."""
    origin = datetime(2026, 1, 1, tzinfo=UTC)
    begin, end = origin + timedelta(hours=start), origin + timedelta(hours=start + length)
    starts = [origin + timedelta(hours=24 * day) for day in range(4)]
    parts = dict(spread(begin, end, amount, starts, origin + timedelta(hours=96)))
    inside = max(0, min(start + length, 96) - max(start, 0)) / length if length else float(0 <= start < 96)
    assert sum(parts.values()) == pytest.approx(amount * inside, rel=1e-9, abs=1e-9)
