"""A component runs on a fixed version of a data set as a job, into a new data set with lineage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from brain_contracts.codes import make_uscc
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient, ApiError

from tests.algorithm_dev.integration.test_pages import Visitor

BASE = "/api/algorithm-dev/v1"
CARBON = f"{BASE}/components/carbon-accounting/versions/1.0.0"
OEE = f"{BASE}/components/oee/versions/1.0.0"
SHIFTS = "enterprise.shift_record"
FIRM, NEIGHBOUR = make_uscc("370303", 71), make_uscc("370303", 72)
CONTRACT = f"""
apiVersion: v3.1.0
kind: DataContract
id: {SHIFTS}
name: {SHIFTS}
version: 1.0.0
status: active
customProperties:
- {{property: warehouse, value: enterprise}}
- {{property: library, value: scene}}
- {{property: classification, value: 一般-2}}
- {{property: access, value: owner}}
- {{property: titleZh, value: 班次记录}}
- {{property: titleEn, value: shift records}}
- {{property: example, value: {{line: a, shift: 2026-10-01, pbt: 1.0, apt: 1.0, pri: 1.0, pq: 1.0, gq: 1.0}}}}
schema:
- name: shift_record
  logicalType: object
  properties:
  - {{name: line, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}}
  - {{name: shift, logicalType: string, primaryKey: true, primaryKeyPosition: 2, required: true}}
  - {{name: pbt, logicalType: number}}
  - {{name: apt, logicalType: number}}
  - {{name: pri, logicalType: number}}
  - {{name: pq, logicalType: number}}
  - {{name: gq, logicalType: number}}
"""
# The example of Vorne (OEE 74.79 %), and half of its good parts: 0.7479 / 2.
ROWS = [
    {"line": "a", "shift": "2026-10-01", "pbt": 420, "apt": 373, "pri": 1.0, "pq": 19271, "gq": 18848},
    {"line": "b", "shift": "2026-10-01", "pbt": 420, "apt": 373, "pri": 1.0, "pq": 19271, "gq": 9424},
]
MAPPING = {
    "equipment": "line", "period": "shift", "planned_busy_time_min": "pbt", "actual_production_time_min": "apt",
    "planned_runtime_per_item_s": "pri", "produced_quantity": "pq", "good_quantity": "gq",
}  # fmt: skip


class Works:
    """A running platform with two enterprises; the first has shift records."""

    def __init__(self, platform: PlatformProcess) -> None:
        self.platform = platform
        first = json.loads((platform.home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]
        self.operator = ApiClient(platform.url, first["api_key"])
        self.first = first
        self.operator.put(f"/api/data-hub/v1/contracts/{SHIFTS}", CONTRACT.encode(), "application/yaml")
        keys = []
        for org, name in ((FIRM, "示例机床"), (NEIGHBOUR, "邻居")):
            body = {"uscc": org, "name": name, "kind": "enterprise", "region": "370303"}
            self.operator.post("/api/identity/v1/organisations", body)
            keys.append(self.operator.post("/api/identity/v1/keys", {"org": org, "name": "MES"})["key"])
            quota = {"quota": {"cores": 4, "memory_mb": 8192}}
            self.operator.put_json(f"/api/compute-scheduler/v1/tenants/{org}/quota", quota)
        self.firm, self.neighbour = (ApiClient(platform.url, key) for key in keys)
        self.push(ROWS)

    def push(self, rows: list[dict[str, Any]], mode: str = "append") -> str:
        """Pushes shift records of the firm; the version after them."""
        receipt = self.firm.push(SHIFTS, json.dumps(rows).encode(), "application/json", mode=mode, wait_s=60)
        assert receipt["state"] == "committed", receipt
        return str(receipt["snapshot"])

    def start(self, into: str, **changes: Any) -> dict[str, Any]:
        """Starts a run of OEE over the records."""
        body = {"dataset": SHIFTS, "into": into, "mapping": MAPPING, "key": ["equipment", "period"]} | changes
        made: dict[str, Any] = self.firm.post(f"{OEE}/runs", body)
        return made

    def finished(self, run_id: str, timeout_s: float = 120) -> dict[str, Any]:
        """The run when it has ended."""
        deadline = time.monotonic() + timeout_s
        while True:
            run: dict[str, Any] = self.firm.get(f"{BASE}/runs/{run_id}")
            if run["is_final"]:
                return run
            assert time.monotonic() < deadline, run
            time.sleep(0.3)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a data set as the firm sees them."""
        items: list[dict[str, Any]] = self.firm.get(f"/api/data-hub/v1/datasets/{name}/rows")["items"]
        return items


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """The platform of these tests."""
    with PlatformProcess(tmp_path_factory.mktemp("runs")) as platform:
        yield Works(platform)


def test_a_run_makes_a_data_set_with_lineage(works: Works) -> None:
    """The published example of OEE comes out, owned by the firm, with its way back to the input's version."""
    run = works.finished(works.start("enterprise.shift_oee")["id"])
    assert run["state"] == "succeeded", json.dumps(run, ensure_ascii=False)
    assert [step["state"] for step in run["steps"] if step["state"] not in ("queued", "running")] == [
        "staged", "computed", "registered", "pushed", "succeeded",
    ]  # fmt: skip
    assert (run["rows_in"], run["rows_out"]) == (2, 2)
    found = {row["equipment"]: row for row in works.rows("enterprise.shift_oee")}
    assert found["a"]["oee"] == pytest.approx(0.7479, abs=5e-5)
    assert found["b"]["oee"] == pytest.approx(0.7479 / 2, abs=5e-5)
    job = works.firm.get(f"/api/compute-scheduler/v1/jobs/{run['job_id']}")
    assert (job["state"], job["labels"]) == ("succeeded", {"algorithm-dev/run": run["id"]})
    with pytest.raises(ApiError) as hidden:
        works.neighbour.get("/api/data-hub/v1/datasets/enterprise.shift_oee")
    assert hidden.value.status == 404
    _check_lineage(works, run)


def test_a_request_that_comes_again_makes_no_second_run(works: Works) -> None:
    """Eight times at once and once more afterwards: one run. The same key for another request is refused."""
    body = {"dataset": SHIFTS, "into": "enterprise.shift_once", "mapping": MAPPING, "key": ["equipment", "period"]}
    key = {"Idempotency-Key": "once-1"}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: works.firm.post_with(f"{OEE}/runs", body, key), range(8)))
    made.append(works.firm.post_with(f"{OEE}/runs", body, key))
    assert len({run["id"] for run in made}) == 1
    with pytest.raises(ApiError) as other:
        works.firm.post_with(f"{OEE}/runs", body | {"into": "enterprise.shift_twice"}, key)
    assert (other.value.status, other.value.code) == (409, "idempotency_key_reused")
    assert works.finished(made[0]["id"])["state"] == "succeeded"


def _check_lineage(works: Works, run: dict[str, Any]) -> None:
    deadline = time.monotonic() + 30
    while True:
        path = "/api/data-hub/v1/lineage"
        graph = works.firm.get(path, dataset="enterprise.shift_oee", direction="up", depth=3)
        text = json.dumps(graph)
        if SHIFTS in text and run["dataset_version"] in text:
            break
        assert time.monotonic() < deadline, graph
        time.sleep(0.3)
    assert "oee@1.0.0" in text


def test_a_version_stays_what_it_was(works: Works) -> None:
    """Records pushed after the run was asked for do not enter it; the same key again makes no second run."""
    run = works.start("enterprise.shift_oee_fixed")
    works.push([ROWS[0] | {"line": "c"}])
    again = works.start("enterprise.shift_oee_fixed", version=run["dataset_version"])
    done, second = works.finished(run["id"]), works.finished(again["id"])
    assert (done["rows_in"], second["rows_in"]) == (2, 2)
    assert done["dataset_version"] == second["dataset_version"]
    assert len(works.rows("enterprise.shift_oee_fixed")) == 2


def test_the_version_that_the_newest_result_came_from_is_kept(works: Works) -> None:
    """A run pins its input; a newer result of the same data set, or a failure, lets it go."""
    first = works.finished(works.start("enterprise.shift_oee_kept")["id"])
    assert _pinned(works, first["dataset_version"]) >= {first["id"]}
    second = works.finished(works.start("enterprise.shift_oee_kept", version=first["dataset_version"])["id"])
    pinned = _pinned(works, first["dataset_version"])
    assert second["id"] in pinned
    assert first["id"] not in pinned
    cancelled = works.start("enterprise.shift_oee_kept", version=first["dataset_version"])
    works.firm.post(f"{BASE}/runs/{cancelled['id']}/cancel")
    if works.finished(cancelled["id"])["state"] == "cancelled":
        assert cancelled["id"] not in _pinned(works, first["dataset_version"])


def _pinned(works: Works, version: str) -> set[str]:
    """Runs that keep a version of the records."""
    items = works.firm.get(f"/api/data-hub/v1/datasets/{SHIFTS}/versions")["items"]
    (found,) = [item for item in items if item["version"] == version]
    return {pin["reason"].split(" ")[1] for pin in found["pins"] if pin["reason"].startswith("运行 ")}


def test_a_filter_narrows_and_wrong_requests_are_refused_at_once(works: Works) -> None:
    """Each names the field: unknown column, bad filter, version, key, target, parameter, data set, tenant."""
    run = works.finished(works.start("enterprise.shift_oee_b", filter="line = 'b'")["id"])
    assert run["rows_out"] == 1
    for change, status in (
        ({"mapping": MAPPING | {"good_quantity": "nope"}}, 422),
        ({"mapping": MAPPING | {"zzz": "gq"}}, 422),
        ({"filter": "nope = 1"}, 422),
        ({"version": "12345"}, 404),
        ({"key": ["nope"]}, 422),
        ({"into": "nowhere.x"}, 422),
        ({"into": SHIFTS}, 422),
        ({"into": "enterprise.enterprise_monthly"}, 422),
        ({"parameters": {"zzz": 1}}, 422),
        ({"dataset": "enterprise.nope"}, 404),
        ({"surplus": 1}, 422),
    ):
        with pytest.raises(ApiError) as refused:
            works.start(change.pop("into", "enterprise.shift_bad"), **change)
        assert refused.value.status == status, (change, refused.value.problem)
    with pytest.raises(ApiError) as unknown:
        works.neighbour.get(f"{BASE}/runs/{run['id']}")
    assert unknown.value.code == "run_unknown"


def test_rows_that_do_not_fit_end_the_run_with_row_and_reason(works: Works) -> None:
    """Checked inside the job, column by column; nothing is written."""
    works.push([ROWS[0] | {"line": "z", "gq": None}])
    run = works.finished(works.start("enterprise.shift_null")["id"])
    works.push([{"line": "z", "shift": "2026-10-01"}], mode="delete")
    assert run["state"] == "failed"
    assert "good_quantity" in run["reason"] or "日志" in run["reason"]
    assert run["job_id"]
    with pytest.raises(ApiError):
        works.firm.get("/api/data-hub/v1/datasets/enterprise.shift_null")


def test_a_run_is_cancelled_with_its_job(works: Works) -> None:
    """Whatever step it is in."""
    run = works.start("enterprise.shift_cancelled")
    works.firm.post(f"{BASE}/runs/{run['id']}/cancel")
    done = works.finished(run["id"])
    assert done["state"] in ("cancelled", "succeeded")
    if done["state"] == "cancelled" and done["job_id"]:
        job = works.firm.get(f"/api/compute-scheduler/v1/jobs/{done['job_id']}")
        assert job["state"] in ("cancelled", "succeeded", "failed") or job["cancel_requested"]
    with pytest.raises(ApiError) as late:
        works.firm.post(f"{BASE}/runs/{run['id']}/cancel")
    assert late.value.code == "run_final"


def test_the_pages_start_a_run_and_follow_it(works: Works) -> None:
    """The operator chooses data set and version, sees what is refused, follows the run to result and log."""
    operator = Visitor(works.platform.url, works.first["user"], works.first["password"])
    page = "/components/oee/versions/1.0.0/run"
    text = operator.get(f"{page}?dataset={SHIFTS}")
    assert "最新（运行时固定）" in text
    assert 'name="map-good_quantity"' in text
    fields = {"dataset": SHIFTS, "into": "nowhere", "key": ["equipment"]}
    fields |= {f"map-{name}": column for name, column in MAPPING.items()}
    refused = operator.post(page, fields)
    assert refused.status == 422
    assert "enterprise.furnace_oee" in refused.data.decode()
    started = operator.post(page, fields | {"into": "enterprise.page_oee"})
    assert started.status == 303
    place = started.headers["location"]
    deadline = time.monotonic() + 120
    while "看结果" not in (text := operator.get(place)):
        assert "失败" not in text
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "摘要相符" in operator.get(f"{place}/log")
    assert "enterprise.page_oee" in operator.get("/runs?component=oee")
