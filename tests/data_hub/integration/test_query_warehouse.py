"""Reading what was really pushed: through the committer into Iceberg tables, and back by every way of reading."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.data_hub.hub import ENTERPRISE, OPERATOR, OTHER_PROVIDER, PROVIDER, Hub

DATASET = "industry.reading_test"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: industry.reading_test
name: industry.reading_test
version: 1.0.0
status: active
customProperties:
- {property: warehouse, value: industry}
- {property: library, value: industry}
- {property: classification, value: 一般-2}
- {property: access, value: owner}
- {property: titleZh, value: 读取测试}
- {property: titleEn, value: reading test}
- {property: example, value: {code: a, at: "2026-01-01T00:00:00Z", value: 1.5}}
schema:
- name: reading_test
  logicalType: object
  properties:
  - {name: code, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}
  - {name: at, logicalType: timestamp, primaryKey: true, primaryKeyPosition: 2, required: true}
  - {name: value, logicalType: number}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A data hub to which two providers have pushed."""
    made = Hub(tmp_path_factory.mktemp("hub"))
    made.start_workers("periodic")
    answer = made.put_contract(DATASET, CONTRACT)
    assert answer.status in (200, 201), answer.data
    for number, org in enumerate((PROVIDER, OTHER_PROVIDER)):
        rows = [
            {"code": f"c{n % 7}", "at": f"2026-01-01T{n:02d}:00:00Z", "value": n + number * 100.0} for n in range(24)
        ]
        pushed = made.push(DATASET, rows, org=org)
        assert pushed.json()["state"] == "committed", pushed.data
    yield made
    made.close()


def query(hub: Hub, sql: str, org: str = OPERATOR, kind: str = "operator") -> dict[str, Any]:
    """Rows of a query as an organisation."""
    headers = {"Content-Type": "application/json"}
    answer = hub.call(
        "POST", "/v1/queries", org=org, kind=kind, body=json.dumps({"sql": sql}).encode(), headers=headers
    )
    assert answer.status == 200, answer.data
    body: dict[str, Any] = answer.json()
    return body


def rows(hub: Hub, org: str, kind: str, **params: Any) -> dict[str, Any]:
    """A page of rows as an organisation."""
    answer = hub.call("GET", f"/v1/datasets/{DATASET}/rows?{urlencode(params)}", org=org, kind=kind)
    assert answer.status == 200, answer.data
    body: dict[str, Any] = answer.json()
    return body


def test_pushed_rows_are_there_for_their_owner_and_for_government(hub: Hub) -> None:
    """The sum of each side is what was pushed."""
    sql = f"SELECT count(*) AS n, sum(value) AS total FROM {DATASET}"

    assert query(hub, sql)["items"] == [{"n": 48, "total": 276.0 + 2676.0}]
    assert query(hub, sql, PROVIDER, "provider")["items"] == [{"n": 24, "total": 276.0}]
    assert query(hub, sql, OTHER_PROVIDER, "provider")["items"] == [{"n": 24, "total": 2676.0}]
    assert query(hub, sql, ENTERPRISE, "enterprise")["items"] == [{"n": 0, "total": None}]


def test_pages_over_equal_keys_of_two_owners(hub: Hub) -> None:
    """The owner is part of the order, so no row is lost between pages."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 5}
    while True:
        page = rows(hub, OPERATOR, "operator", **params)
        found += page["items"]
        if page["next"] is None:
            break
        params["after"] = page["next"]

    keys = [(row["code"], row["at"], row["_owner"]) for row in found]
    assert len(set(keys)) == len(keys) == 48
    assert keys == sorted(keys)


def test_a_push_is_readable_when_its_receipt_says_committed_and_the_past_stays(hub: Hub) -> None:
    """Upsert and delete show at once; the snapshot before still reads as it was, by id and by time."""
    before = rows(hub, PROVIDER, "provider", filter="code = 'c1'")
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    time.sleep(1.2)
    hub.push(DATASET, [{"code": "c1", "at": "2026-01-01T01:00:00Z", "value": -1.0}], mode="upsert")
    changed = rows(hub, PROVIDER, "provider", filter="code = 'c1'")
    hub.push(DATASET, [{"code": "c1", "at": "2026-01-01T01:00:00Z"}], mode="delete")
    removed = rows(hub, PROVIDER, "provider", filter="code = 'c1'")
    by_id = rows(hub, PROVIDER, "provider", filter="code = 'c1'", as_of=before["snapshot"])
    by_time = rows(hub, PROVIDER, "provider", filter="code = 'c1'", as_of=moment)
    hub.push(DATASET, [{"code": "c1", "at": "2026-01-01T01:00:00Z", "value": 1.0}])

    assert [row["value"] for row in before["items"]] == [1.0, 8.0, 15.0, 22.0]
    assert [row["value"] for row in changed["items"]] == [-1.0, 8.0, 15.0, 22.0]
    assert [row["value"] for row in removed["items"]] == [8.0, 15.0, 22.0]
    assert by_id["items"] == by_time["items"] == before["items"]


def test_every_canonical_data_set_can_be_read_before_its_first_row(hub: Hub) -> None:
    """All columns of the contract, no rows, for everybody."""
    names = [item["name"] for item in hub.call("GET", "/v1/datasets?limit=500").json()["items"]]
    for name in names:
        if name == DATASET:
            continue
        page = query(hub, f"SELECT * FROM {name}", ENTERPRISE, "enterprise")
        assert page["items"] == []
        assert "_owner" in [column["name"] for column in page["columns"]]
    assert len(names) > 20


def test_statistics_agree_with_the_rows(hub: Hub) -> None:
    """For government by owner, for a provider its own number alone."""
    for org, kind, expected in ((OPERATOR, "operator", (48, 2, 0)), (PROVIDER, "provider", (None, None, 24))):
        found = hub.call("GET", "/v1/statistics", org=org, kind=kind).json()["datasets"]
        mine = next(item for item in found if item["dataset"] == DATASET)
        assert (mine["rows"], mine["owners"], mine["own_rows"]) == expected
