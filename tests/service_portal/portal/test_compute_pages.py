"""Pages of the compute network, settlement and simulations: what they show, whom they let in, what forms call."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from service_portal.portal.borders import load_borders

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.fake.network import OWNER, PACKED, RUNNING, SIMULATION, TENANT


def island(text: str, identity: str) -> Any:
    """The JSON that a page carries for its script."""
    found = re.search(rf'<script type="application/json" id="{identity}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_the_map_places_centres_by_position_or_region_and_draws_flows(operator: Browserless) -> None:
    """A county's centre stands in its city, one without region nowhere; sums that nobody states are a dash."""
    text = operator.text("/compute-map")
    drawn = island(text, "compute-map-data")
    places = {centre["id"]: centre["point"] for centre in drawn["centres"]}
    shape = load_borders(None)
    assert places == {"zibo": list(shape.points["370300"]), "jinan": list(shape.points["370100"]), "edge": None}
    assert drawn["geographic"] is True
    assert [(flow["to"], flow["hours"]) for flow in drawn["flows"]] == [(places["zibo"], 75.0)]
    for part in ("1,600", "EFLOPS", "未填所在地", "2 个中心：1600 TB", "示意图"):
        assert part in text
    rows = list(csv.DictReader(io.StringIO(operator.get("/compute-map.csv").data.decode("utf-8-sig"))))
    assert [(row["centre"], row["storage_tb"]) for row in rows] == [("zibo", "800.0"), ("jinan", "800.0"), ("edge", "")]


def test_the_borders_are_sent_as_they_are_and_only_to_people(operator: Browserless, visitor: Browserless) -> None:
    """GeoJSON of sixteen cities, marked as a sketch on the page; a visitor is sent to sign in."""
    address = island(operator.text("/compute-map"), "compute-map-data")["borders"]
    reply = operator.get(address)
    assert reply.headers["content-type"].startswith("application/geo+json")
    assert len(json.loads(reply.data)["features"]) == 16
    assert visitor.get(address).status == 303


def test_an_operators_own_borders_take_the_place_of_the_sketch(tmp_path: Path) -> None:
    """Without a stated point the middle of a region's extent counts; a file without positions is refused."""
    square = [[[100.0, 30.0], [104.0, 30.0], [104.0, 32.0], [100.0, 32.0], [100.0, 30.0]]]
    feature = {
        "type": "Feature",
        "properties": {"adcode": "510100"},
        "geometry": {"type": "Polygon", "coordinates": square},
    }
    path = tmp_path / "borders.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    shape = load_borders(path)
    assert shape.point_of("510104") == (102.0, 31.0)
    assert shape.point_of("370303") is None
    assert (shape.covers((101, 31)), shape.covers((118, 36))) == (True, False)
    empty = tmp_path / "empty.json"
    empty.write_text('{"features": []}')
    with pytest.raises(ValueError, match="no position"):
        load_borders(empty)


def test_utilisation_and_fairness_stand_beside_each_other(operator: Browserless) -> None:
    """The days of the address; a centre without nodes has no percentage; the index and each part."""
    text = operator.text("/utilisation?days=7")
    chart = island(text, "utilisation-data")
    assert (len(chart["x"]), [line["name"] for line in chart["series"]]) == (7, ["中心 zibo"])
    assert "0.800" in text
    assert "75%" in text
    assert len(island(operator.text("/utilisation?days=9999"), "utilisation-data")["x"]) == 30


def test_a_month_of_settlement_shows_statements_and_closes_once(operator: Browserless, brain: FakeBrain) -> None:
    """The newest month by default; another by its address; closing calls the API and a refusal is said in words."""
    text = operator.text("/settlement")
    for part in ("2026-10", "1,286.40", "草稿", "借用", f"/settlement/2026-10/{TENANT}/{OWNER}", "3 条用量等待入账"):
        assert part in text
    assert "没有结算单" in operator.text("/settlement?org=91370100MA0000000X")
    assert "已于" in operator.text("/settlement?period=2026-09")
    assert operator.post("/settlement/2026-10/close").headers["location"] == "/settlement?period=2026-10"
    assert ("close", "2026-10") in brain.calls
    refused = operator.post("/settlement/2026-09/close")
    assert (refused.status, "已关账" in refused.data.decode()) == (409, True)
    assert operator.get("/settlement/file.csv?period=2026-10").data == b"2026-10,csv\n"


def test_only_the_operator_is_offered_to_close_a_month(operator: Browserless, owner: Browserless) -> None:
    """Everybody else reads what the API gives them."""
    assert "/settlement/2026-10/close" in operator.text("/settlement?period=2026-10")
    assert "/settlement/2026-10/close" not in owner.text("/settlement?period=2026-10")


def test_a_statement_lists_lines_and_the_entries_behind_it(operator: Browserless) -> None:
    """A kind without a price is a dash with a reason; the entry leads to its job; others' statements are not there."""
    text = operator.text(f"/settlement/2026-10/{TENANT}/{OWNER}")
    for part in ("12.060000", "A100", "价目没有这一项", "/jobs/job_succeeded", "1286.400001"):
        assert part in text
    assert operator.get(f"/settlement/2026-10/{OWNER}/{TENANT}").status == 404


def test_simulations_are_the_operators(operator: Browserless, owner: Browserless) -> None:
    """The page does not exist for others, and its entry is not in their rail."""
    assert "策略试算" in operator.text("/simulations")
    assert owner.get("/simulations").status == 404
    assert owner.get(f"/simulations/{SIMULATION}").status == 404
    assert "/simulations" not in owner.text("/jobs")


def test_a_simulation_is_asked_for_by_days_or_by_a_log(operator: Browserless, brain: FakeBrain) -> None:
    """Days are those of China, the last one included; a log goes first, its digest with the form; bad input is said."""
    form = {"policy": "short-first", "format": "platform", "since": "2026-10-01", "until": "2026-10-31", "limit": "500"}
    assert operator.post("/simulations", form).headers["location"] == f"/simulations/{RUNNING}"
    asked = brain.calls[-1][1]
    assert (asked["since"], asked["until"], asked["limit"]) == (
        "2026-10-01T00:00:00+08:00",
        "2026-11-01T00:00:00+08:00",
        500,
    )
    operator.post("/simulations", {"policy": "easy", "format": "swf", "file_name": "kth.swf", "file_sha256": "c" * 64})
    assert brain.calls[-1][1]["files"] == {"kth.swf": "c" * 64}
    assert operator.post("/simulations", form | {"since": "gestern"}).status == 422
    assert operator.post("/simulations", form | {"limit": "many"}).status == 422


def test_a_running_simulation_shows_its_progress_and_an_ended_one_its_comparison(
    operator: Browserless, brain: FakeBrain
) -> None:
    """Half the slowdown of EASY is better, more waiting is worse, the same utilisation neither; the plan as bars."""
    text = operator.text(f"/simulations/{RUNNING}")
    assert f'hx-get="/simulations/{RUNNING}/progress"' in text
    assert "1 / 3 个作业已排程" in text
    part = operator.request("GET", f"/simulations/{RUNNING}/progress", {"HX-Request": "true"})
    assert 'value="1"' in part.data.decode()
    done = operator.request("GET", f"/simulations/{SIMULATION}/progress", {"HX-Request": "true"})
    assert done.headers["hx-redirect"] == f"/simulations/{SIMULATION}"
    text = operator.text(f"/simulations/{SIMULATION}")
    assert re.search(r'<span class="good">0\.500 ✓', text)
    assert re.search(r'<span class="bad">1\.034 ✗', text)
    gantt = island(text, "gantt-data")
    lanes = [plan["lanes"] for plan in gantt["plans"]]
    assert lanes == [[3], [1]]  # three beside each other by the policy, one after another by the reference
    assert [bar[2] for bar in gantt["plans"][1]["bars"]] == [0.0, 100.0, 200.0]
    assert operator.get(f"/simulations/{SIMULATION}/schedule.csv").data == b"job,start_at\njob_0,0\n"
    rows = operator.get(f"/simulations/{SIMULATION}/metrics.csv").data.decode("utf-8-sig").splitlines()
    assert rows[1] == "mean_bounded_slowdown,4.2,8.4,0.5"
    operator.post(f"/simulations/{RUNNING}/cancel")
    assert operator.post(f"/simulations/{SIMULATION}/delete").headers["location"] == "/simulations"
    assert brain.calls[-2:] == [("cancel-simulation", RUNNING), ("delete-simulation", SIMULATION)]


def test_a_pod_list_that_was_packed_shows_a_curve_and_no_schedule(operator: Browserless, brain: FakeBrain) -> None:
    """GPUs given by what was asked for, and how far the reference is; the form sends both lists."""
    text = operator.text(f"/simulations/{PACKED}")
    chart = island(text, "curve-data")
    assert [line["values"] for line in chart["series"]] == [[0.0, 1.0, 2.0], [0.0, 1.0, 1.5], [0.0, 0.0, 0.5]]
    assert re.search(r'GPU 分配率 %</td><td class="num">96\.04</td><td class="num">95\.19', text)
    assert "nodes.csv" in text
    assert "gantt-data" not in text
    assert re.search(r"96\.04 %.*95\.19 % <small>FGD", operator.text("/simulations"))
    form = {"policy": "best-fit", "format": "openb", "file_name": "pods.csv", "file_sha256": "c" * 64}
    operator.post("/simulations", form | {"node_name": "nodes.csv", "node_sha256": "d" * 64})
    asked = brain.calls[-1][1]
    assert (asked["files"], asked["nodes"]) == ({"pods.csv": "c" * 64}, {"nodes.csv": "d" * 64})


def test_lending_shows_both_directions_and_takes_back(operator: Browserless, brain: FakeBrain) -> None:
    """Terms, use and a silent lender are told; the buttons recall and lend again; unknown states are refused."""
    text = operator.text("/lending")
    for part in ("夜间出借", "20:00–07:00", "通知期后停止", "重新出借", "县级平台", "对方平台没有答复，等待它恢复"):
        assert part in text
    recalled = operator.post("/lending/loans/province-2026/state", {"state": "recalled"})
    assert recalled.headers["location"] == "/lending"
    operator.post("/lending/loans/closed/state", {"state": "open"})
    assert ("recall", "province-2026") in brain.calls
    assert ("open", "closed") in brain.calls
    assert operator.post("/lending/loans/closed/state", {"state": "gone"}).status == 422


def test_an_account_of_two_brains_names_what_differs(operator: Browserless, owner: Browserless) -> None:
    """Attempt by attempt for a loan with its jobs, and for a centre that is borrowed; the same as a file."""
    for address in ("/lending/loans/province-2026", "/lending/centres/county"):
        text = operator.text(address)
        assert "有差异" in text
        assert "wall_s 60.0 / 61.0" in text
    assert "出借方收回算力" in operator.text("/lending/loans/province-2026")
    assert operator.get("/lending/loans/province-2026/statement.csv").data == b"attempt\n"
    assert 'href="/lending"' in operator.text("/centres")
    assert 'href="/lending"' not in owner.text("/centres")
