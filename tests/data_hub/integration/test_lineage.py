"""Lineage over HTTP and by events: what is kept, what each caller sees of it, and how a column is followed."""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from brain_contracts.events import LineageReported
from brain_kit.clock import utc_now
from brain_kit.events import Event, emit
from data_hub.consumers import HANDLERS
from data_hub.domain.lineage.openlineage import read_event

from tests.data_hub.acting import BUREAU, LABORATORY, NEIGHBOUR, PLANT, ActingHub, acting_hub
from tests.data_hub.hub import OPERATOR, contract
from tests.data_hub.openlineage import dataset, event, facet

SHARED, RESULT = "enterprise.readings", "enterprise.plant_sums"
COLUMNS = {"id": "string", "weight": "number"}
EXAMPLE = {"id": "a", "weight": 1.0}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingHub]:
    """Plant and neighbour have pushed to a shared data set; a service has made a result for the plant."""
    for hub in acting_hub(request, tmp_path_factory.mktemp("lineage")):
        assert hub.put_contract(SHARED, contract(SHARED, COLUMNS, ["id"], example=EXAMPLE)).status == 201
        for org, weight in ((PLANT, 1.0), (NEIGHBOUR, 50.0)):
            answer = hub.push(SHARED, [{"id": "a", "weight": weight}], org=org, kind="enterprise")
            assert answer.json()["state"] == "committed"
        document = contract(RESULT, COLUMNS, ["id"], example=EXAMPLE).encode()
        headers = {"Content-Type": "application/yaml"}
        assert hub.act(PLANT, "PUT", f"/v1/contracts/{RESULT}", body=document, headers=headers).status == 201
        body = b'{"id": "sum", "weight": 1}'
        answer = hub.act(PLANT, "POST", f"/v1/datasets/{RESULT}/pushes?wait=60", body=body, headers=NDJSON)
        assert answer.json()["state"] == "committed"
        yield hub


def newest(hub: ActingHub, name: str) -> str:
    """The newest version of a data set."""
    return str(hub.warehouse.snapshots(name)[0].version)


def post(hub: ActingHub, body: Any, org: str | None = PLANT) -> Any:
    """An event reported by a service, for an organisation."""
    headers = {"Content-Type": "application/json"}
    return hub.act(org, "POST", "/v1/lineage", body=json.dumps(body).encode(), headers=headers)


def graph(hub: ActingHub, org: str = OPERATOR, kind: str = "operator", **params: Any) -> Any:
    """The graph as somebody sees it."""
    answer = hub.call("GET", f"/v1/lineage?{urlencode(params)}", org=org, kind=kind)
    assert answer.status == 200, answer.data
    return answer.json()


def ids(body: Any) -> set[str]:
    """Names of the nodes."""
    return {node["id"] for node in body["nodes"]}


def reported_run(hub: ActingHub) -> tuple[str, str, str]:
    """A completed run from the shared data set to the plant's result; run, input and output node."""
    source, made = newest(hub, SHARED), newest(hub, RESULT)
    body = event(
        [dataset(SHARED, source)],
        [dataset(RESULT, made, {"weight": [(SHARED, "weight")]})],
        job=("brain.algorithm-dev", "sum@1.0.0"),
    )
    answer = post(hub, body)
    assert answer.status == 201, answer.data
    return str(answer.json()["node"]), f"dataset:{SHARED}@{source}", f"dataset:{RESULT}@{made}"


def test_a_commit_leads_to_its_pushes_their_owners_and_the_version_before(hub: ActingHub) -> None:
    """The newest version holds the neighbour's push and, through the version before, the plant's."""
    seen = graph(hub, dataset=SHARED, direction="up")
    kinds = [node["kind"] for node in seen["nodes"]]
    orgs = {node["name"] for node in seen["nodes"] if node["kind"] == "org"}

    assert (kinds.count("dataset"), kinds.count("push")) == (2, 2)
    assert orgs == {PLANT, NEIGHBOUR}
    assert {edge["kind"] for edge in seen["edges"]} == {"previous", "push", "source"}
    assert seen["limited"] is False


def test_sources_of_others_are_not_there(hub: ActingHub) -> None:
    """The plant sees its own push and itself; nothing tells that somebody else has pushed in between."""
    seen = graph(hub, PLANT, "enterprise", dataset=SHARED, direction="up")

    assert {node["name"] for node in seen["nodes"] if node["kind"] == "org"} == {PLANT}
    assert sum(node["kind"] == "push" for node in seen["nodes"]) == 1
    assert NEIGHBOUR not in json.dumps(seen)
    assert seen["limited"] is True


def test_a_run_links_input_component_and_result(hub: ActingHub) -> None:
    """Up from the result to the input version, down from the input to the result."""
    run, source, made = reported_run(hub)
    up = graph(hub, dataset=RESULT, direction="up", depth=2)
    down = graph(hub, dataset=SHARED, direction="down", depth=2)

    assert {run, source, made, "component:sum@1.0.0"} <= ids(up)
    assert {run, source, made} <= ids(down)
    shown = next(node for node in up["nodes"] if node["id"] == run)
    assert (shown["state"], shown["org"], shown["namespace"]) == ("COMPLETE", PLANT, "brain.algorithm-dev")
    assert shown["columns"] == [
        {"output": made, "column": "weight", "input": source, "from_column": "weight", "how": "IDENTITY"}
    ]
    by_node = graph(hub, node=run, direction="both", depth=1)
    assert {run, source, made} <= ids(by_node)


def test_runs_of_an_organisation_are_seen_by_it_and_by_government_only(hub: ActingHub) -> None:
    """Down from the shared input the neighbour learns of no run and no result."""
    run, _, made = reported_run(hub)

    assert {run, made} <= ids(graph(hub, PLANT, "enterprise", dataset=SHARED, direction="down"))
    assert {run, made} <= ids(graph(hub, BUREAU, "department", dataset=SHARED, direction="down"))
    seen = graph(hub, NEIGHBOUR, "enterprise", dataset=SHARED, direction="down")
    assert all(node["kind"] == "dataset" and node["name"] == SHARED for node in seen["nodes"])
    for start in (f"node={run}", f"dataset={RESULT}", f"node={made}", "node=component:sum@1.0.0"):
        answer = hub.call("GET", f"/v1/lineage?{start}", org=NEIGHBOUR, kind="enterprise")
        assert answer.status == 404, (start, answer.data)


def test_columns_are_followed_one_by_one(hub: ActingHub) -> None:
    """Only `weight` was made of something; the run stands above `id` without an input."""
    run, source, made = reported_run(hub)
    weight = graph(hub, dataset=RESULT, column="weight", direction="up", depth=2)
    identity = graph(hub, dataset=RESULT, column="id", direction="up", depth=2)

    assert {run, source, made} <= ids(weight)
    assert run in ids(identity)
    assert source not in ids(identity)
    edge = next(item for item in weight["edges"] if (item["from"], item["to"]) == (source, run))
    assert edge["columns"] == ["weight"]
    assert made in ids(graph(hub, dataset=SHARED, column="weight", direction="down", depth=2))
    assert made not in ids(graph(hub, dataset=SHARED, column="id", direction="down", depth=2))


def test_repeats_and_disorder_change_nothing(hub: ActingHub) -> None:
    """Every order of three events, one of them twice, gives the same run with the same ends."""
    source, made = newest(hub, SHARED), newest(hub, RESULT)
    events = [
        event([dataset(SHARED, source)], kind="START", at="2026-11-03T02:00:00Z"),
        event(kind="RUNNING", at="2026-11-03T02:05:00Z"),
        event(None, [dataset(RESULT, made)], kind="COMPLETE", at="2026-11-03T02:10:00Z"),
    ]
    seen = []
    for order in itertools.permutations([0, 1, 2]):
        run_id = str(uuid4())
        for number in (*order, order[0]):
            body = copy.deepcopy(events[number])
            body["run"]["runId"] = run_id
            answer = post(hub, body)
            assert answer.status == 201, answer.data
        found = graph(hub, node=f"run:{run_id}", depth=1)
        (run,) = [node for node in found["nodes"] if node["id"] == f"run:{run_id}"]
        ends = sorted((edge["kind"], edge["from"], edge["to"]) for edge in found["edges"])
        seen.append(json.dumps([run, ends]).replace(run_id, "RUN"))

    assert len(set(seen)) == 1
    assert '"state": "COMPLETE"' in seen[0]
    assert '"started_at": "2026-11-03T02:00:00.000Z"' in seen[0]


def test_events_of_services_are_taken_as_those_of_the_api(hub: ActingHub) -> None:
    """The organisation is told by the message, else by whose data set the run has made."""
    source, made = newest(hub, SHARED), newest(hub, RESULT)
    for org in (PLANT, ""):
        body = event([dataset(SHARED, source)], [dataset(RESULT, made)], job=("brain.algorithm-dev", f"by-event-{org}"))
        message = LineageReported(run_id=body["run"]["runId"], event=body, org=org)
        topic, data = LineageReported.topic, message.model_dump()
        handled = Event("evt_1", topic, message.run_id, "algorithm-dev", utc_now(), data)
        for _ in range(2):
            with hub.database.transaction() as session:
                HANDLERS[LineageReported.topic](session, handled)
        assert f"run:{message.run_id}" in ids(graph(hub, PLANT, "enterprise", dataset=RESULT, direction="up", depth=1))


def test_an_emitted_event_reaches_the_graph(hub: ActingHub) -> None:
    """Through outbox, bus and consumer, as a service emits it."""
    body = event([], [dataset(RESULT, newest(hub, RESULT))], job=("brain.evaluation", "000/L1P1"))
    with hub.database.transaction() as session:
        emit(session, LineageReported(run_id=body["run"]["runId"], event=body, org=PLANT))
    hub.start_workers("consumer")
    deadline = time.monotonic() + 20
    while hub.call("GET", "/v1/lineage?node=indicator:000/L1P1", org=PLANT, kind="enterprise").status != 200:
        assert time.monotonic() < deadline, "the event did not arrive"
        time.sleep(0.05)
    seen = graph(hub, PLANT, "enterprise", node="indicator:000/L1P1", direction="up")
    assert f"run:{body['run']['runId']}" in ids(seen)


def test_data_sets_outside_belong_to_whoever_reports_them(hub: ActingHub) -> None:
    """Two enterprises with a database of the same name do not meet in it."""
    outside = {"namespace": "postgres://erp:5432", "name": "sales.orders"}
    for org in (PLANT, NEIGHBOUR):
        body = event([outside], [dataset(SHARED)], job=("erp", f"load-{org}"))
        assert post(hub, body, org).status == 201
    seen = graph(hub, PLANT, "enterprise", dataset=SHARED, direction="up", depth=2)
    external = [node for node in seen["nodes"] if node["kind"] == "external"]

    assert [(node["name"], node["namespace"], node["org"]) for node in external] == [
        ("sales.orders", "postgres://erp:5432", PLANT)
    ]
    everything = graph(hub, dataset=SHARED, direction="up", depth=2)
    assert sum(node["kind"] == "external" for node in everything["nodes"]) == 2


def test_the_run_of_another_cannot_be_changed(hub: ActingHub) -> None:
    """An id that is used is refused, and the run stays as it is."""
    run, *_ = reported_run(hub)
    body = event(run_id=run.partition(":")[2], kind="FAIL", at="2027-01-01T00:00:00Z")

    for org in (NEIGHBOUR, PLANT):
        answer = post(hub, body, org)
        assert (answer.status, answer.json()["code"]) == (409, "lineage_run_taken")
    assert next(node for node in graph(hub, node=run)["nodes"] if node["id"] == run)["state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"eventType": "DONE"}, "eventType"),
        ({"eventTime": "2026-11-03 02:15"}, "eventTime"),
        ({"eventTime": "2026-11-03"}, "eventTime"),
        ({"producer": "etl"}, "producer"),
        ({"schemaURL": "https://openlineage.io/spec/0-1-0/OpenLineage.json#/$defs/RunEvent"}, "schemaURL"),
        ({"schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"}, "schemaURL"),
        ({"run": {"runId": "17"}}, "run.runId"),
        ({"run": {}}, "run.runId"),
        ({"job": {"namespace": "erp"}}, "job.name"),
        ({"job": {"namespace": "", "name": "x"}}, "job.namespace"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [{"name": "x"}]}, "inputs.0.namespace"),
        ({"inputs": [dataset("enterprise.none")]}, "inputs.0.name"),
        ({"inputs": [dataset(SHARED, "123")]}, "inputs.0.facets.version.datasetVersion"),
        ({"inputs": [{"namespace": "brain", "name": SHARED, "facets": {"version": {"datasetVersion": "1"}}}]},
         "inputs.0.facets.version._producer"),
        ({"inputs": [{"namespace": "x", "name": "y", "facets": {"schema": {"fields": []}}}]}, ""),
        ({"outputs": [{"namespace": "x", "name": "y", "facets": {"columnLineage": facet("C")}}]},
         "outputs.0.facets.columnLineage.fields"),
        ({"outputs": [{"namespace": "x", "name": "y"}] * 201}, "outputs"),
    ],
)  # fmt: skip
def test_events_that_break_the_standard_are_refused_by_field(hub: ActingHub, change: Any, field: str) -> None:
    """The rules of the JSON schema and this platform's bounds, each named with the field."""
    answer = post(hub, event() | change)

    assert (answer.status, answer.json()["code"]) == (422, "lineage_event_invalid"), answer.data
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
def test_what_is_no_event_is_refused(hub: ActingHub, body: bytes) -> None:
    """Not JSON, or no object."""
    answer = hub.act(PLANT, "POST", "/v1/lineage", body=body)

    assert (answer.status, answer.json()["code"]) == (422, "lineage_event_invalid")


def test_an_event_over_the_limit_is_refused(hub: ActingHub) -> None:
    """256 KiB are enough for ten thousand columns."""
    answer = post(hub, event(run={"runId": str(uuid4()), "facets": {"x": facet("X", text="x" * 300_000)}}))

    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("org", "kind", "role", "status"),
    [
        (OPERATOR, "operator", None, 201),
        (LABORATORY, "provider", None, 201),
        (PLANT, "enterprise", "developer", 201),
        (PLANT, "enterprise", "manager", 403),
        (PLANT, "enterprise", "member", 403),
        (BUREAU, "department", "analyst", 403),
    ],
)
def test_reporting_needs_a_role(hub: ActingHub, org: str, kind: str, role: str | None, status: int) -> None:
    """Operators, developers, providers and services report; others read."""
    body = json.dumps(event()).encode()
    answer = hub.call("POST", "/v1/lineage", org=org, kind=kind, role=role, body=body)

    assert answer.status == status, answer.data


@pytest.mark.parametrize(
    ("org", "body", "field"),
    [
        (NEIGHBOUR, {"inputs": [dataset(RESULT)]}, "inputs.0.name"),
        (NEIGHBOUR, {"outputs": [dataset(RESULT)]}, "outputs.0.name"),
        (BUREAU, {"outputs": [dataset(RESULT)]}, "outputs.0.name"),
    ],
)
def test_nobody_reports_on_data_sets_of_others(hub: ActingHub, org: str, body: Any, field: str) -> None:
    """One that is hidden reads as unknown; one that is seen but not owned cannot be made."""
    answer = post(hub, event() | body, org)

    assert (answer.status, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


def test_the_names_of_services_are_theirs(hub: ActingHub) -> None:
    """An enterprise cannot claim to be the evaluation."""
    body = json.dumps(event(job=("brain.evaluation", "000/L1P1"))).encode()
    answer = hub.call("POST", "/v1/lineage", org=PLANT, kind="enterprise", role="developer", body=body)

    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "job.namespace")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "invalid_input"),
        (f"dataset={SHARED}&node=run:1", 422, "invalid_input"),
        ("dataset=enterprise.none", 404, "dataset_unknown"),
        (f"dataset={SHARED}&version=123", 404, "lineage_node_unknown"),
        (f"dataset={SHARED}&version=x", 422, "version_invalid"),
        (f"dataset={SHARED}&column=none", 422, "invalid_input"),
        ("node=run:0197a1c2-3b4d-7e5f-8a6b-1c2d3e4f5a6b", 404, "lineage_node_unknown"),
        ("node=thing:1", 422, "lineage_node_invalid"),
        ("node=run:", 422, "lineage_node_invalid"),
        (f"node=org:{PLANT}", 404, "lineage_node_unknown"),
        (f"dataset={SHARED}&depth=0", 422, "fields_invalid"),
        (f"dataset={SHARED}&depth=41", 422, "fields_invalid"),
        (f"dataset={SHARED}&direction=left", 422, "fields_invalid"),
        (f"dataset={SHARED}&limit=501", 422, "fields_invalid"),
    ],
)
def test_what_cannot_be_walked_is_named(hub: ActingHub, query: str, status: int, code: str) -> None:
    """A precise problem, never an empty graph."""
    answer = hub.call("GET", f"/v1/lineage?{query}", org=PLANT, kind="enterprise")

    assert (answer.status, answer.json()["code"]) == (status, code)


def test_the_graph_is_exported_as_events_that_are_taken_back(hub: ActingHub) -> None:
    """Every exported event is a valid one; the run's ends and columns come out as they went in."""
    run, source, made = reported_run(hub)
    answer = hub.call("GET", f"/v1/lineage/events?node={run}&depth=2", org=PLANT, kind="enterprise")
    assert answer.status == 200, answer.data
    items = answer.json()["items"]
    (found,) = [item for item in items if f"run:{item['run']['runId']}" == run]

    assert all(read_event(item).event_type == "COMPLETE" for item in items)
    assert [(item["name"], item["facets"]["version"]["datasetVersion"]) for item in found["inputs"]] == [
        tuple(source.removeprefix("dataset:").split("@"))
    ]
    (output,) = found["outputs"]
    assert f"dataset:{output['name']}@{output['facets']['version']['datasetVersion']}" == made
    fields = output["facets"]["columnLineage"]["fields"]
    assert fields == {
        "weight": {
            "inputFields": [
                {
                    "namespace": "brain", "name": SHARED, "field": "weight",
                    "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}],
                }
            ]
        }
    }  # fmt: skip
    commits = [item for item in items if item["job"]["name"] == f"commit:{SHARED}"]
    assert commits
    assert NEIGHBOUR not in json.dumps(items)
    again = hub.call("GET", f"/v1/lineage/events?node={run}&depth=2", org=PLANT, kind="enterprise").json()["items"]
    assert again == items


def test_pages_of_the_graph_fit_together(hub: ActingHub) -> None:
    """One node a page gives the same nodes and edges, each edge once."""
    reported_run(hub)
    whole = graph(hub, dataset=SHARED, depth=4)
    nodes, edges, after = [], [], 0
    while after is not None:
        page = graph(hub, dataset=SHARED, depth=4, limit=3, after=after)
        nodes += page["nodes"]
        edges += page["edges"]
        after = page["next"]

    assert nodes == whole["nodes"]
    key = json.dumps
    assert sorted(map(key, edges)) == sorted(map(key, whole["edges"]))


def test_the_inputs_of_a_run_are_held_while_it_goes_and_while_its_result_counts(hub: ActingHub) -> None:
    """A start pins the input, the end hands the pin to the result, a later run takes it over; a failure lets go."""
    source = newest(hub, SHARED)

    def held() -> list[str]:
        listed = hub.call("GET", f"/v1/datasets/{SHARED}/versions", org=OPERATOR, kind="operator").json()["items"]
        return [pin["held_by"] for item in listed if item["version"] == source for pin in item["pins"]]

    assert post(hub, event([], [dataset(RESULT)], at="2026-12-01T00:00:00Z")).status == 201
    for ending, is_held in (("FAIL", False), ("COMPLETE", True)):
        run_id = str(uuid4())
        start = event([dataset(SHARED, source)], kind="START", run_id=run_id, at="2026-12-03T02:00:00Z")
        assert post(hub, start).status == 201
        assert f"run:{run_id}" in held()
        end = event([dataset(SHARED, source)], [dataset(RESULT)], kind=ending, run_id=run_id, at="2026-12-03T03:00:00Z")
        assert post(hub, end).status == 201
        assert f"run:{run_id}" not in held()
        assert (f"dataset:{RESULT}" in held()) is is_held
    later = event([], [dataset(RESULT)], at="2026-12-04T00:00:00Z")
    assert post(hub, later).status == 201
    assert f"dataset:{RESULT}" not in held()
