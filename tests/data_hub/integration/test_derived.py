"""Data sets made from a query: rows, contract, versions and lineage, and that a failure leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
import sqlalchemy as sa
from brain_kit.problems import Unavailable
from data_hub import store
from data_hub.service import commit_record
from data_hub.service.derived.derive import Deriving
from data_hub.service.derived.staging import DerivedStaging
from data_hub.service.sweep import Sweeper
from data_hub.settings import Settings

from tests.data_hub.acting import BUREAU, LABORATORY, NEIGHBOUR, PLANT, ActingHub, acting_hub
from tests.data_hub.hub import OPERATOR, contract

MONTHS = "enterprise.months"
COLUMNS: dict[str, Any] = {
    "uscc": "string",
    "month": {"logicalType": "string", "custom": {"titleZh": "月份"}},
    "revenue": {"logicalType": "number", "custom": {"titleZh": "营业收入", "unit": "万元"}},
    "staff": "integer",
}
EXAMPLE = {"uscc": PLANT, "month": "2026-01", "revenue": 1.0, "staff": 1}
SUMS = f"SELECT month, sum(revenue) AS total, max(staff) AS staff FROM {MONTHS} GROUP BY month"
LIMITS = {"data_hub_derived_rows": 100, "data_hub_query_seconds": 3}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingHub]:
    """Two months of plant and neighbour, the neighbour's ten times as large."""
    for hub in acting_hub(request, tmp_path_factory.mktemp("derived"), **LIMITS):
        assert hub.put_contract(MONTHS, contract(MONTHS, COLUMNS, ["uscc", "month"], example=EXAMPLE)).status == 201
        for org, factor in ((PLANT, 1.0), (NEIGHBOUR, 10.0)):
            months = [
                {"uscc": org, "month": f"2026-0{month}", "revenue": factor * month, "staff": month} for month in (1, 2)
            ]
            assert hub.push(MONTHS, months, org=org, kind="enterprise").json()["state"] == "committed"
        yield hub


def fresh(warehouse: str = "enterprise") -> str:
    """A name that nobody has used."""
    return f"{warehouse}.d{uuid4().hex[:16]}"


def derive(
    hub: ActingHub, name: str, sql: str = SUMS, *, org: str = PLANT, kind: str = "enterprise", role: str | None = None,
    once: str | None = None, query: str = "", **body: Any,
) -> Any:  # fmt: skip
    """POST /v1/derived; once: its Idempotency-Key."""
    headers = JSON | ({"Idempotency-Key": once} if once else {})
    content = json.dumps({"name": name, "title": "月度合计", "sql": sql} | body).encode()
    path = f"/v1/derived?wait=60{query}"
    return hub.call("POST", path, org=org, kind=kind, role=role, body=content, headers=headers)


def made(hub: ActingHub, name: str, sql: str = SUMS, **options: Any) -> Any:
    """A derivation that must succeed."""
    answer = derive(hub, name, sql, **options)
    assert answer.status == 200, answer.data
    return answer.json()


def refused(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status, answer.json()["code"]


def rows(hub: ActingHub, name: str, version: str = "", org: str = PLANT, kind: str = "enterprise") -> list[Any]:
    """Rows of a data set, by month where it has months."""
    path = f"/v1/datasets/{name}/rows" + (f"?version={version}" if version else "")
    answer = hub.call("GET", path, org=org, kind=kind)
    assert answer.status == 200, answer.data
    return sorted(answer.json()["items"], key=lambda row: str(row.get("month")))


def totals(hub: ActingHub, name: str, version: str = "") -> list[tuple[str, float]]:
    """Month and total of a data set."""
    return [(row["month"], row["total"]) for row in rows(hub, name, version)]


def versions(hub: ActingHub, name: str) -> list[str]:
    """Versions of a data set, newest first."""
    return [item.version for item in hub.warehouse.snapshots(name)]


def leftovers(hub: ActingHub, name: str) -> list[str]:
    """What a failure might leave: objects, a contract, pushes, intents."""
    warehouse, dataset = name.split(".")
    found = [info.key for info in hub.platform.objects.list(f"tables/{warehouse}/{dataset}/")]
    with hub.database.reading() as session:
        found += ["contract"] if store.get_contract(session, name) else []
        found += [record.id for record in store.list_pushes(session, owner=None, dataset=name)]
        staging = store.metadata.tables["derived_staging"]
        found += session.execute(sa.select(staging.c.push).where(staging.c.dataset == name)).scalars()
    return found


def test_a_query_becomes_a_data_set_of_the_caller(hub: ActingHub) -> None:
    """Made of the caller's own rows: 1 and 2, never the neighbour's 10 and 20."""
    name = fresh()
    body = made(hub, name)

    assert (body["dataset"], body["rows"], body["columns_known"]) == (name, 2, True)
    assert body["inputs"] == {MONTHS: versions(hub, MONTHS)[0]}
    assert [body["version"]] == versions(hub, name)
    assert (body["push"]["owner"], body["push"]["mode"], body["push"]["state"]) == (PLANT, "replace", "committed")
    assert totals(hub, name) == [("2026-01", 1.0), ("2026-02", 2.0)]
    bureau = fresh("public")
    made(hub, bureau, org=BUREAU, kind="department")
    found = rows(hub, bureau, org=BUREAU, kind="department")
    assert [row["total"] for row in found] == [11.0, 22.0]


def test_the_contract_comes_from_the_columns_of_the_result(hub: ActingHub) -> None:
    """Types of the engine, titles and units of columns that are copied, the owner, and the level of the input."""
    name = fresh()
    sql = (
        "SELECT month, revenue, staff / 2 AS half, count(*) AS n, max(revenue) > 1 AS big, DATE '2026-01-31' AS day,"
        f" TIMESTAMP '2026-01-31 08:00:00' AS at, sum(staff) AS people, 1.25 AS exact FROM {MONTHS} GROUP BY ALL"
    )
    made(hub, name, sql, key=["month"])
    detail = hub.call("GET", f"/v1/datasets/{name}", org=PLANT, kind="enterprise").json()
    columns = {column["name"]: column for column in detail["schema"]}

    assert {item: column["type"] for item, column in columns.items()} == {
        "month": "string", "revenue": "number", "half": "number", "n": "integer", "big": "boolean", "day": "date",
        "at": "timestamp", "people": "integer", "exact": "number",
    }  # fmt: skip
    assert (columns["revenue"]["title"], columns["revenue"]["unit"]) == ("营业收入", "万元")
    assert (columns["month"]["title"], columns["month"]["required"], columns["n"]["required"]) == ("月份", True, False)
    assert (detail["title"], detail["key"], detail["owner_org"]) == ("月度合计", ["month"], PLANT)
    assert (detail["access"], detail["classification"], detail["version"]) == ("owner", "一般-1", "1.0.0")
    first = rows(hub, name)[0]
    assert (first["at"], first["day"], first["half"], first["exact"]) == (
        "2026-01-31T08:00:00Z",
        "2026-01-31",
        0.5,
        1.25,
    )


def test_a_refresh_is_a_new_version_that_replaces_the_rows(hub: ActingHub) -> None:
    """The old version stays readable; rows that the query no longer gives are gone."""
    name = fresh()
    first = made(hub, name)["version"]
    body = made(hub, name, SUMS + " HAVING sum(revenue) > $least", parameters={"least": 1.5})

    assert versions(hub, name) == [body["version"], first]
    assert totals(hub, name) == [("2026-02", 2.0)]
    assert totals(hub, name, first) == [("2026-01", 1.0), ("2026-02", 2.0)]
    assert body["contract_version"] == "1.0.0"


def test_an_upsert_changes_and_adds_by_key(hub: ActingHub) -> None:
    """Rows whose key does not come again stay."""
    name = fresh()
    made(hub, name, key=["month"], mode="upsert")
    sql = "SELECT '2026-02' AS month, 5.0::DOUBLE AS total, 1 AS staff UNION ALL SELECT '2026-03', 7.0, 1"
    made(hub, name, sql, key=["month"], mode="upsert")

    assert totals(hub, name) == [("2026-01", 1.0), ("2026-02", 5.0), ("2026-03", 7.0)]


def test_fixed_versions_are_what_is_read(hub: ActingHub) -> None:
    """From the first version of the input, whatever has come since."""
    name, source = fresh(), fresh()
    first = made(hub, source)["version"]
    made(hub, source, f"{SUMS} ORDER BY 1 LIMIT 1")
    body = made(hub, name, f"SELECT * FROM {source}", versions={source: first})

    assert body["inputs"] == {source: first}
    assert totals(hub, name) == [("2026-01", 1.0), ("2026-02", 2.0)]


def test_new_columns_are_a_new_contract_version_and_lost_ones_are_refused(hub: ActingHub) -> None:
    """Added: 1.1.0; removed or of another type: a conflict that names it, unless it is allowed."""
    name = fresh()
    made(hub, name)
    more = f"SELECT month, sum(revenue) AS total, max(staff) AS staff, count(*) AS n FROM {MONTHS} GROUP BY month"
    assert made(hub, name, more)["contract_version"] == "1.1.0"
    less = f"SELECT month, 'x' AS total FROM {MONTHS}"
    answer = derive(hub, name, less)
    assert refused(answer) == (409, "breaking_change")
    assert {change["code"] for change in answer.json()["changes"]} >= {"column_removed", "type_changed"}
    assert [row["n"] for row in rows(hub, name)] == [1, 1]
    assert made(hub, name, less, query="&breaking=allow")["contract_version"] == "2.0.0"
    assert {row["total"] for row in rows(hub, name)} == {"x"}


def test_the_same_request_under_a_key_counts_once(hub: ActingHub) -> None:
    """A repeat answers with the first push; another request under the key is a conflict."""
    name = fresh()
    first, again = made(hub, name, once="k1"), derive(hub, name, once="k1")
    other = derive(hub, name, SUMS + " LIMIT 1", once="k1")

    assert again.json()["push"]["id"] == first["push"]["id"]
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(versions(hub, name)) == 1
    assert refused(other) == (409, "idempotency_key_reused")


def test_the_push_can_be_waited_on(hub: ActingHub) -> None:
    """Without a wait the answer is 202 with where to look."""
    name = fresh()
    content = json.dumps({"name": name, "title": "月度合计", "sql": SUMS}).encode()
    answer = hub.call("POST", "/v1/derived", org=PLANT, kind="enterprise", body=content, headers=JSON)
    location = answer.headers["Location"]
    receipt = hub.call("GET", f"{location}?wait=60", org=PLANT, kind="enterprise").json()

    assert answer.status in (200, 202)
    assert (receipt["state"], receipt["accepted"]) == ("committed", 2)
    assert hub.call("GET", location, org=NEIGHBOUR, kind="enterprise").status == 404


@pytest.mark.parametrize(
    ("sql", "body", "code"),
    [
        ("SELEC 1", {}, "query_syntax"),
        ("DELETE FROM enterprise.months", {}, "query_not_select"),
        ("SELECT * FROM enterprise.none", {}, "query_table_unknown"),
        (SUMS + " HAVING max(staff) > $n", {}, "query_parameters"),
        (f"SELECT none FROM {MONTHS}", {}, "query_failed"),
        (SUMS, {"versions": {MONTHS: "1"}}, "query_version_unknown"),
        (SUMS, {"versions": {"public.enterprise": "1"}}, "version_invalid"),
        (f"SELECT count(*) FROM {MONTHS}", {}, "derived_invalid"),
        (f"SELECT month AS 月份 FROM {MONTHS}", {}, "derived_invalid"),
        (f"SELECT month, month AS MONTH FROM {MONTHS}", {}, "derived_invalid"),
        (f"SELECT [staff] AS l FROM {MONTHS}", {}, "derived_invalid"),
        ("SELECT NULL AS n", {}, "derived_invalid"),
        (SUMS, {"key": ["none"]}, "derived_invalid"),
        (SUMS, {"key": ["month", "month"]}, "derived_invalid"),
        (SUMS, {"mode": "upsert"}, "derived_invalid"),
        ("SELECT 170141183460469231731687303715884105727::HUGEINT AS big", {}, "derived_invalid"),
        (f"SELECT month, 1 AS one FROM {MONTHS} UNION ALL SELECT NULL, 2", {"key": ["month"]}, "derived_rows_invalid"),
        ("SELECT 1 AS k UNION ALL SELECT 1", {"key": ["k"]}, "derived_rows_invalid"),
        ("SELECT 'nan'::DOUBLE AS x", {}, "derived_invalid"),
        ("SELECT NULL::VARCHAR AS x", {}, "derived_invalid"),
        (f"SELECT month FROM {MONTHS} WHERE false", {}, "derived_empty"),
        ("SELECT * FROM range(101)", {}, "query_rows_limit"),
        ("SELECT string_agg(repeat('x', 1000000), ',') AS a FROM range(2000)", {}, "query_memory_limit"),
    ],
)
def test_what_cannot_become_a_data_set_is_refused_and_leaves_nothing(
    hub: ActingHub, sql: str, body: Any, code: str
) -> None:
    """A precise problem; no contract, no push, no object, no intent."""
    name = fresh()
    answer = derive(hub, name, sql, **body)

    assert refused(answer) == (422, code), answer.data
    assert leftovers(hub, name) == []
    assert hub.call("GET", f"/v1/datasets/{name}", org=PLANT, kind="enterprise").status == 404


def test_a_query_that_takes_too_long_leaves_nothing(hub: ActingHub) -> None:
    """Stopped at the limit of three seconds."""
    name = fresh()
    answer = derive(
        hub, name, "SELECT count(*) AS n FROM range(1000000000) a, range(1000) b WHERE a.range % 7 = b.range"
    )

    assert refused(answer) == (504, "query_time_limit")
    assert leftovers(hub, name) == []


@pytest.mark.parametrize("name", ["months", "x.y", "enterprise.Big", "enterprise.a-b", "enterprise." + "x" * 64, ""])
def test_names_follow_the_rule(hub: ActingHub, name: str) -> None:
    """warehouse.dataset, as contracts are named."""
    answer = derive(hub, name)

    assert refused(answer) == (422, "derived_invalid")
    assert answer.json()["errors"][0]["field"] == "name"


@pytest.mark.parametrize("change", [{"title": " "}, {"mode": "append"}, {"more": 1}, {"key": "month"}, {"sql": None}])
def test_a_body_of_another_shape_is_refused(hub: ActingHub, change: Any) -> None:
    """Fields by name."""
    assert refused(derive(hub, fresh(), **change))[1] == "fields_invalid"


def test_names_of_others_are_taken_and_warehouses_are_kept(hub: ActingHub) -> None:
    """The platform's, another organisation's, and the public warehouse, which is for departments."""
    name = fresh()
    made(hub, name)

    assert refused(derive(hub, MONTHS)) == (409, "dataset_name_taken")
    assert refused(derive(hub, name, org=NEIGHBOUR)) == (409, "dataset_name_taken")
    assert refused(derive(hub, name, org=BUREAU, kind="department")) == (409, "dataset_name_taken")
    assert refused(derive(hub, fresh("public"))) == (422, "contract_invalid")
    assert refused(derive(hub, fresh("public"), org=LABORATORY, kind="provider")) == (422, "contract_invalid")


@pytest.mark.parametrize(("role", "status"), [("member", 403), ("auditor", 403), ("developer", 200), ("manager", 200)])
def test_deriving_needs_a_role(hub: ActingHub, role: str, status: int) -> None:
    """Members read and push; making data sets is for those who answer for them."""
    assert derive(hub, fresh(), role=role).status == status


def test_a_service_derives_for_an_organisation_only(hub: ActingHub) -> None:
    """What it makes is the organisation's, of that one's rows."""
    name = fresh()
    body = json.dumps({"name": name, "title": "结果", "sql": SUMS}).encode()
    alone = hub.act(None, "POST", "/v1/derived?wait=60", body=body, headers=JSON)
    acting = hub.act(PLANT, "POST", "/v1/derived?wait=60", body=body, headers=JSON)

    assert (alone.status, acting.status) == (403, 200)
    assert totals(hub, name) == [("2026-01", 1.0), ("2026-02", 2.0)]


def test_the_neighbour_sees_nothing_of_it(hub: ActingHub) -> None:
    """Not the data set, not the run, not the lineage of the shared input."""
    name = fresh()
    run = made(hub, name)["run"]
    seen = hub.call("GET", f"/v1/lineage?dataset={MONTHS}", org=NEIGHBOUR, kind="enterprise").data.decode()

    assert hub.call("GET", f"/v1/datasets/{name}", org=NEIGHBOUR, kind="enterprise").status == 404
    assert hub.call("GET", f"/v1/lineage?node={run}", org=NEIGHBOUR, kind="enterprise").status == 404
    assert name not in seen
    assert run not in seen


def test_lineage_leads_from_the_data_set_to_its_inputs_column_by_column(hub: ActingHub) -> None:
    """Recorded with the commit: run, input version, and which columns went where."""
    name = fresh()
    body = made(hub, name)
    path = f"/v1/lineage?dataset={name}&direction=up"
    seen = hub.call("GET", path, org=PLANT, kind="enterprise").json()
    source, result = f"dataset:{MONTHS}@{body['inputs'][MONTHS]}", f"dataset:{name}@{body['version']}"
    edges = {(edge["from"], edge["to"]): edge["kind"] for edge in seen["edges"]}
    (run,) = [node for node in seen["nodes"] if node["id"] == body["run"]]

    assert (edges[source, body["run"]], edges[body["run"], result]) == ("input", "output")
    assert (run["name"], run["namespace"], run["state"]) == (f"derive:{name}", "brain.data-hub", "COMPLETE")
    links = {(link["column"], link["input"], link["from_column"], link["how"]) for link in run["columns"]}
    assert links == {
        ("month", source, "month", "IDENTITY"),
        ("total", source, "revenue", "AGGREGATION"),
        ("staff", source, "staff", "AGGREGATION"),
    }
    of_total = hub.call("GET", f"{path}&column=total&depth=2", org=PLANT, kind="enterprise").json()
    edge = next(item for item in of_total["edges"] if (item["from"], item["to"]) == (source, body["run"]))
    assert edge["columns"] == ["revenue"]


def test_a_replaced_version_is_no_source_of_the_next(hub: ActingHub) -> None:
    """Nothing of it is in the new one; an upsert, on the other hand, builds on what was there."""
    for mode, is_source in (("replace", False), ("upsert", True)):
        name = fresh()
        first = made(hub, name, mode=mode, key=["month"])["version"]
        made(hub, name, mode=mode, key=["month"])
        seen = hub.call("GET", f"/v1/lineage?dataset={name}&direction=up", org=PLANT, kind="enterprise").json()
        assert (f"dataset:{name}@{first}" in [node["id"] for node in seen["nodes"]]) is is_source


def test_inputs_are_held_as_long_as_the_result_counts(hub: ActingHub) -> None:
    """The newest result pins the versions that it was made of; a refresh lets go of those before."""
    name, source = fresh(), fresh()
    old = made(hub, source)["version"]
    made(hub, name, f"SELECT * FROM {source}")

    def held() -> dict[str, list[str]]:
        items = hub.call("GET", f"/v1/datasets/{source}/versions", org=PLANT, kind="enterprise").json()["items"]
        return {item["version"]: [pin["held_by"] for pin in item["pins"]] for item in items}

    assert held() == {old: [f"dataset:{name}"]}
    new = made(hub, source)["version"]
    made(hub, name, f"SELECT * FROM {source}")
    assert held() == {new: [f"dataset:{name}"], old: []}


def test_lineage_is_kept_with_the_commit_or_not_at_all(hub: ActingHub) -> None:
    """The transaction that moves the table's pointer fails after the lineage was written: neither stays."""
    name = fresh()
    first = made(hub, name)["version"]
    real, runs = commit_record.record_derivations, []

    def broken(*arguments: Any) -> None:
        real(*arguments)
        runs.append(arguments)
        if len(runs) == 1:
            raise Unavailable("connection lost")

    with mock.patch.object(commit_record, "record_derivations", broken):
        body = derive(hub, name, SUMS + " LIMIT 1").json()

    assert len(runs) == 2
    assert versions(hub, name) == [body["version"], first]
    with hub.database.reading() as session:
        edges = store.edges_at(session, [body["run"]], up=False, org=None, limit=10)
        versions_kept = store.versions_by_id(session, {(name, version) for version in versions(hub, name)})
    assert [edge.target for edge in edges] == [f"dataset:{name}@{body['version']}"]
    assert sorted(item.sequence for item in versions_kept.values()) == [1, 2]


def test_what_a_killed_process_has_stored_is_swept(hub: ActingHub) -> None:
    """Killed between storing the rows and keeping the push: the lease ends, the objects go, the name stays free."""
    name = fresh()

    with (
        mock.patch.object(Deriving, "_keep", side_effect=RuntimeError("killed")),
        mock.patch.object(DerivedStaging, "_discard"),
    ):
        assert derive(hub, name).status == 500
    assert len(leftovers(hub, name)) == 2
    sweeper = Sweeper(hub.database, hub.platform.objects, Settings(home=hub.platform.settings.home))
    sweeper.sweep()
    assert len(leftovers(hub, name)) == 2
    with mock.patch("data_hub.service.sweep.utc_now", return_value=datetime.now(UTC) + timedelta(hours=1)):
        sweeper.sweep()
    assert leftovers(hub, name) == []
    made(hub, name)


def test_a_lease_that_is_over_refuses_the_rest(hub: ActingHub) -> None:
    """The sweep has taken the objects away, so the push must not come to be."""
    name = fresh()
    real = store.close_staging

    def late(session: Any, push: str) -> bool:
        store.doom_stagings(session, datetime.now(UTC) + timedelta(hours=1))
        return real(session, push)

    with mock.patch.object(store, "close_staging", late):
        answer = derive(hub, name)

    assert refused(answer) == (409, "derived_interrupted")
    assert leftovers(hub, name) == []


def test_people_may_register_versions_of_it_and_a_refresh_keeps_their_words(hub: ActingHub) -> None:
    """The operator writes a title and a unit; the next refresh does not undo that."""
    name = fresh()
    made(hub, name)
    text = hub.call("GET", f"/v1/contracts/{name}", org=OPERATOR, kind="operator").data.decode()
    changed = text.replace("version: 1.0.0", "version: 1.0.1").replace("value: total", "value: 合计营收")
    answer = hub.put_contract(name, changed)
    assert answer.status == 200, answer.data
    made(hub, name)
    detail = hub.call("GET", f"/v1/datasets/{name}", org=PLANT, kind="enterprise").json()

    assert detail["version"] == "1.0.1"
    assert [column["title"] for column in detail["schema"] if column["name"] == "total"] == ["合计营收"]
