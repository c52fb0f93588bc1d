"""Computing over the warehouse: values equal hand calculations, a reason stands where there is none."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.database import Database

from tests.evaluation.small_cluster import datasets
from tests.evaluation.world import CLUSTER, World, firm

# The arithmetic behind each stands in test_computations.py.
EXPECTED = {
    ("construction", "L1P1"): 2.335,
    ("construction", "L1P3"): 75,
    ("construction", "L1P5"): 7,
    ("construction", "L1P6"): 3,
    ("construction", "L1P9"): 1.92,
    ("construction", "L3P1"): 4,
    ("construction", "L4P4"): 2,
    ("evaluation", "L1P4"): 7,
    ("evaluation", "L1P7"): 4,
    ("evaluation", "L3P3"): 26,
}


def test_values_equal_hand_calculations(world: World) -> None:
    """The same code means different things in two sets: L1P4 is a share in one and a count in the other."""
    run = world.first_run

    assert (run["state"], run["done"]) == ("succeeded", run["total"]), run
    for (set_id, code), value in EXPECTED.items():
        found = world.indicator(set_id, code)
        assert found["value"] == pytest.approx(value), (set_id, code)
        assert (found["kind"], found["state"], found["reason"]) == ("computed", "computed", None)
        assert found["as_of"]
        assert found["source"]


@pytest.mark.parametrize("set_id", ["construction", "evaluation", "industry-brain"])
def test_every_indicator_has_a_value_or_a_reason(world: World, set_id: str) -> None:
    """No indicator is silent, and none shows a zero that nobody computed."""
    params = {"period": "2025", "cluster": CLUSTER}
    table = world.json("bureau", "GET", f"/v1/indicator-sets/{set_id}/indicators", params=params)

    assert len(table["items"]) == table["set"]["count"]
    for item in table["items"]:
        has_value = item["value"] is not None or item["text"] is not None
        assert has_value == (item["reason"] is None), item
        assert {"code", "name", "unit", "value", "kind", "source", "as_of", "state", "reason"} <= item.keys()


def test_a_year_without_its_months_has_no_value(world: World) -> None:
    """2024 has revenue of every month; 2023 has none: the reason says so, and the value is no zero."""
    world.compute(set="construction", indicators=["L1P1"], periods=["2024", "2023"])

    assert world.indicator("construction", "L1P1", "2024")["value"] == pytest.approx(1.8)
    absent = world.indicator("construction", "L1P1", "2023")
    assert (absent["value"], absent["state"]) == (None, "no_value")
    assert "2023" in absent["reason"]
    missing = absent["figure"]["missing_months"]
    assert missing in ([], [f"2023-{month:02d}" for month in range(1, 13)])


def test_a_lineage_leads_to_the_very_rows(world: World) -> None:
    """The query over its fixed versions gives the value again; the other query lists as many rows as were used."""
    params = {"period": "2025", "cluster": CLUSTER}
    path = "/v1/indicator-sets/construction/indicators/L1P1/lineage"
    found = world.json("bureau", "GET", path, params=params)["computation"]

    query, rows = found["query"], found["rows"]
    body = {name: query[name] for name in ("sql", "parameters", "versions")}
    again = world.json("bureau", "POST", "/v1/queries", "data-hub", json=body)["items"]
    assert again[0]["value"] == pytest.approx(2.335)
    body = {name: rows[name] for name in ("sql", "parameters", "versions")}
    listed = world.json("bureau", "POST", "/v1/queries", "data-hub", json=body | {"limit": 500})
    assert listed["rows"] == rows["count"] > 0
    for dataset in found["datasets"]:
        page = world.json("bureau", "GET", f"/v1/datasets/{dataset['dataset']}/versions", "data-hub")
        assert dataset["version"] in {item["version"] for item in page["items"]}


def test_the_data_hub_learns_what_a_figure_was_made_from(world: World) -> None:
    """Its graph has the indicator with the data set versions above it."""
    run = world.compute(set="construction", indicators=["L1P5"], periods=["2025"])
    path = "/v1/indicator-sets/construction/indicators/L1P5/lineage"
    found = world.json("bureau", "GET", path, params={"period": "2025", "cluster": CLUSTER})["computation"]
    assert found["history"][0]["run"] == run["id"]

    deadline = time.monotonic() + 30
    while True:
        params = {"node": found["lineage_node"], "direction": "up", "depth": 2}
        reply = world.call("operator", "GET", "/v1/lineage", "data-hub", params=params)
        names = json.dumps(reply.json(), ensure_ascii=False)
        version = next(item["version"] for item in found["datasets"] if item["dataset"] == "public.enterprise")
        if reply.status == 200 and version in names and found["lineage_run"] in names:
            return
        assert time.monotonic() < deadline, names[:2000]
        time.sleep(0.1)


def test_a_commit_computes_anew_and_keeps_the_value_before(world: World) -> None:
    """A patent more: the count rises by itself, the history holds both, each with its own version."""
    before = world.indicator("evaluation", "L3P4")["value"]
    patent = {"publication_no": "NEW1", "uscc": firm(1), "title": "t", "kind": "发明", "state": "有效"}
    world.push("bureau", "public.patent", [patent | {"granted_on": "2021-05-05"}])

    deadline = time.monotonic() + 60
    while world.indicator("evaluation", "L3P4")["value"] != before + 1:
        assert time.monotonic() < deadline, "the commit was not computed"
        time.sleep(0.1)
    path = "/v1/indicator-sets/evaluation/indicators/L3P4/lineage"
    history = world.json("bureau", "GET", path, params={"period": "2025", "cluster": CLUSTER})["computation"]["history"]
    assert [item["value"] for item in history[:2]] == [before + 1, before]
    assert history[0]["versions"]["public.patent"] != history[1]["versions"]["public.patent"]
    runs = world.json("bureau", "GET", "/v1/runs", params={"limit": 50})["items"]
    assert any(run["trigger"] == "commit" for run in runs)
    world.push("bureau", "public.patent", [{"publication_no": "NEW1", "uscc": firm(1)}], mode="delete")


@contextmanager
def withdrawn(world: World, dataset: str) -> Iterator[None]:
    """The data set is not registered while the block runs. Its name is taken away behind the data hub's back."""
    database = world.platform.database("data-hub")
    away = f"{dataset}_withdrawn"
    _rename(database, dataset, away)
    try:
        yield
    finally:
        _rename(database, away, dataset)


def _rename(database: Database, old: str, new: str) -> None:
    if database.is_sqlite:
        with closing(sqlite3.connect(database.path, timeout=30)) as connection, connection:
            connection.execute("UPDATE dataset SET name = ? WHERE name = ?", (new, old))
        return
    with database.transaction() as session:
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        session.execute(sa.text("UPDATE dataset SET name = :new WHERE name = :old"), {"new": new, "old": old})


def test_a_withdrawn_data_set_is_named_and_gives_no_zero(world: World) -> None:
    """The indicator that reads it says which data set is gone; its neighbours are computed."""
    code = next(item["id"] for item in _items(world, "industry-brain") if item["name"] == "产业数据治理能力提升")
    with withdrawn(world, "public.cdo_pilot"):
        run = world.compute(set="industry-brain", indicators=[code], periods=["2025"])
        gone = next(item for item in _items(world, "industry-brain") if item["name"] == "产业数据治理能力提升")
    assert run["state"] == "succeeded"
    assert run["versions"]["public.cdo_pilot"] is None
    assert (gone["value"], gone["state"]) == (None, "no_value")
    assert "public.cdo_pilot" in gone["reason"]
    assert next(item for item in _items(world, "industry-brain") if item["name"] == "产业规模")["value"] == 2.335

    world.compute(set="industry-brain", indicators=[code], periods=["2025"])
    back = next(item for item in _items(world, "industry-brain") if item["name"] == "产业数据治理能力提升")
    assert back["value"] == 4


def _items(world: World, set_id: str) -> list[dict[str, Any]]:
    params = {"period": "2025", "cluster": CLUSTER}
    found: list[dict[str, Any]] = world.json("bureau", "GET", f"/v1/indicator-sets/{set_id}/indicators", params=params)[
        "items"
    ]
    return found


def test_a_run_is_cancelled_while_it_computes(world: World) -> None:
    """It ends early with the reason; values written before stay; a second cancel is refused."""
    periods = [f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)]
    asked = world.json("bureau", "POST", "/v1/runs", json={"cluster": CLUSTER, "periods": periods})
    deadline = time.monotonic() + 60
    while world.json("bureau", "GET", f"/v1/runs/{asked['id']}")["done"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    world.json("bureau", "POST", f"/v1/runs/{asked['id']}/cancel")
    ended = world.computed(asked | {"state": "running"})

    assert (ended["state"], ended["cancel_requested"]) == ("cancelled", True)
    assert 0 < ended["done"] < ended["total"]
    status, problem = world.refused("bureau", "POST", f"/v1/runs/{asked['id']}/cancel")
    assert (status, problem["code"]) == (409, "run_ended")


def test_series_show_a_point_or_its_reason_for_every_month(world: World) -> None:
    """Twelve month ends of 2025, oldest first; the year's sum stands at December."""
    months = [f"2025-{month:02d}" for month in range(1, 13)]
    world.compute(set="construction", indicators=["L1P1", "L1P5"], periods=months)
    params = {"until": "2025", "cluster": CLUSTER, "points": 12}
    path = "/v1/indicator-sets/construction/indicators/{}/series"
    counts = world.json("bureau", "GET", path.format("L1P5"), params=params)["items"]
    sums = world.json("bureau", "GET", path.format("L1P1"), params=params)["items"]

    assert [point["period"] for point in counts] == months
    assert counts[-1]["value"] == 7
    assert sums[-1]["value"] == pytest.approx(2.335)
    assert all((point["value"] is None) == bool(point["reason"]) for point in counts + sums)


def test_clusters_are_compared_largest_first(world: World) -> None:
    """A second cluster, the whole region without the chain: it has more enterprises."""
    world.json("operator", "PUT", "/v1/clusters/region", json={"name": "全部", "region": "3703"})
    world.compute(set="construction", indicators=["L1P5"], periods=["2025"])
    world.computed(
        world.json(
            "bureau",
            "POST",
            "/v1/runs",
            json={"cluster": "region", "set": "construction", "indicators": ["L1P5"], "periods": ["2025"]},
        )
    )
    path = "/v1/indicator-sets/construction/indicators/L1P5/comparison"
    items = world.json("bureau", "GET", path, params={"period": "2025"})["items"]

    # Firm 10 makes nothing of the chain: it counts in the region only.
    assert [(item["cluster"], item["value"]) for item in items] == [("region", 8), (CLUSTER, 7)]
    status, _ = world.refused("bureau", "GET", path, params={"period": "2025", "cluster": "nowhere"})
    assert status == 404
    assert world.call("operator", "DELETE", "/v1/clusters/region").status == 204


def test_what_a_person_asks_for_goes_before_what_commits_have_touched(world: World) -> None:
    """The run of a commit steps back between two computations, goes on afterwards, and loses nothing."""
    world.push("bureau", "public.enterprise", [{"uscc": firm(1), "name": "示例1", "region": "370303"}], mode="upsert")
    deadline = time.monotonic() + 60
    while True:
        running = world.json("bureau", "GET", "/v1/runs", params={"state": "running"})["items"]
        if any(run["trigger"] == "commit" and run["done"] for run in running):
            break
        assert time.monotonic() < deadline, "the commit was not computed"
        time.sleep(0.01)
    behind = running[0]["id"]
    asked = world.compute(set="evaluation", indicators=["L3P5"], periods=["2019"])
    first = world.json("bureau", "GET", f"/v1/runs/{behind}")

    assert first["ended_at"] is None or first["ended_at"] > asked["ended_at"]
    last = world.computed(first)
    assert (last["state"], last["done"]) == ("succeeded", last["total"])
    rows = datasets()["public.enterprise"]
    world.push("bureau", "public.enterprise", [row for row in rows if row["uscc"] == firm(1)])
