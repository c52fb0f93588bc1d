"""The graph against brute force: every reachable node of random runs, no other, whole and column by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from brain_kit.auth import Principal
from brain_kit.database import Database
from data_hub.domain.lineage.walk import State
from data_hub.service.lineage import graph, reports
from data_hub.service.lineage.graph import GraphRequest
from data_hub.service.lineage.neighbours import View
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data_hub.openlineage import event, facet

ORGS = ("org-a", "org-b")
DATASETS, COLUMNS = range(6), ("c", "d")
NUMBER, COLUMN = st.sampled_from(DATASETS), st.sampled_from(COLUMNS)
LINK = st.tuples(NUMBER, COLUMN, NUMBER, COLUMN)
GOVERNMENT = Principal("user", "user", "gov", "department", roles=frozenset({"analyst"}))
RUN = st.fixed_dictionaries({
    "org": st.sampled_from(ORGS),
    "inputs": st.sets(st.sampled_from(DATASETS), max_size=3),
    "outputs": st.sets(st.sampled_from(DATASETS), max_size=3),
    "links": st.one_of(st.none(), st.lists(LINK, max_size=5)),
})  # fmt: skip
RUNS = st.lists(RUN, min_size=1, max_size=8)
Graph = dict[Any, set[Any]]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A migrated database; each example uses names of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('graph') / 'hub.db'}"
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        name = f"t{uuid4().hex[:12]}"
        from brain_testing.databases import create_database

        url = create_database(postgres.database_url(name))
    made = Database(url, name="data-hub")
    made.migrate("data_hub")
    yield made
    made.close()
    if request.param == "postgresql":
        postgres.drop_databases(name)


def caller(org: str) -> Principal:
    """Somebody of an organisation who may report."""
    return Principal(f"key:{org}", "key", org, "provider", roles=frozenset({"provider"}))


def links_of(run: Any) -> list[tuple[int, str, int, str]]:
    """Links that the run's own ends allow."""
    return [link for link in run["links"] or [] if link[0] in run["inputs"] and link[2] in run["outputs"]]


def document(run: Any, namespace: str) -> dict[str, Any]:
    """The run as an event."""
    outputs = []
    for number in sorted(run["outputs"]):
        fields: dict[str, Any] = {}
        for source, column, target, made in links_of(run):
            if target == number:
                field = {"namespace": namespace, "name": f"d{source}", "field": column}
                fields.setdefault(made, {"inputFields": []})["inputFields"].append(field)
        facets = {"columnLineage": facet("ColumnLineageDatasetFacet", "1-2-0", fields=fields)} if fields else {}
        outputs.append({"namespace": namespace, "name": f"d{number}", "facets": facets})
    inputs = [{"namespace": namespace, "name": f"d{number}"} for number in sorted(run["inputs"])]
    return event(inputs, outputs, run_id=run["id"])


def reachable(graph_: Graph, start: Any, depth: int) -> set[Any]:
    """Everything within some steps, by trying every step from everything."""
    found = {start}
    for _ in range(depth):
        found |= {after for node in found for after in graph_.get(node, ())}
    return found


def whole_graph(runs: list[Any], *, up: bool) -> Graph:
    """data set -> runs -> data sets."""
    made: Graph = {}
    for run in runs:
        for source in run["inputs"]:
            a, b = (run["id"], source) if up else (source, run["id"])
            made.setdefault(a, set()).add(b)
        for target in run["outputs"]:
            a, b = (target, run["id"]) if up else (run["id"], target)
            made.setdefault(a, set()).add(b)
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, start=st.sampled_from(DATASETS), depth=st.integers(1, 7), asks=st.sampled_from((*ORGS, None)))
def test_a_walk_finds_what_brute_force_finds(
    database: Database, runs: list[Any], start: int, depth: int, asks: str | None
) -> None:
    """Up and down, at every depth, for each organisation only along its own runs, for government along all."""
    namespace = f"n{uuid4().hex}"
    for run in runs:
        run["id"] = str(uuid4())
        # The same document in another order of time and once more: the graph is a set.
        for _ in range(2):
            reports.report(database, caller(run["org"]), document(run, namespace))
    for org in ORGS if asks is None else (asks,):
        mine = [run for run in runs if run["org"] == org]
        looking = GOVERNMENT if asks is None else caller(org)
        node = f"external:{org}|{namespace}|d{start}"
        for direction in ("up", "down"):
            expected = reachable(whole_graph(mine, up=direction == "up"), start, depth)
            if not any(start in run["inputs"] | run["outputs"] for run in mine):
                continue
            seen = graph.lineage(
                database,
                looking,
                GraphRequest(node=node, direction=direction, depth=depth, limit=500),  # type: ignore[arg-type]
            )
            found = {_read(item["id"]) for item in seen["nodes"]}
            assert found == expected
            assert seen["truncated"] is False
            for edge in seen["edges"]:
                assert {_read(edge["from"]), _read(edge["to"])} <= expected


def column_graph(runs: list[Any], *, up: bool) -> Graph:
    """(data set, column or None) -> (run, column, data set it was entered by) -> (data set, column or None)."""
    made: Graph = {}
    for run in runs:
        known = links_of(run)
        enter, leave = (run["outputs"], run["inputs"]) if up else (run["inputs"], run["outputs"])
        ends = [(link[2], link[3], link[0], link[1]) if up else link for link in known]
        whole = (run["id"], None, None)
        for number in enter:
            made.setdefault((number, None), set()).add(whole)
            for column in COLUMNS:
                here = [(there, other) for near, own, there, other in ends if (near, own) == (number, column)]
                if not known or (up and all(near != number for near, *_ in ends)):
                    made.setdefault((number, column), set()).add(whole)
                elif up or here:
                    part = (run["id"], column, number)
                    made.setdefault((number, column), set()).add(part)
                    made.setdefault(part, set()).update(here)
        made.setdefault(whole, set()).update((number, None) for number in leave)
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, start=NUMBER, column=COLUMN, up=st.booleans(), depth=st.integers(1, 7))
def test_following_a_column_finds_what_brute_force_finds(
    database: Database, runs: list[Any], start: int, column: str, up: bool, depth: int
) -> None:
    """Over (data set, column) pairs; where a run tells nothing of its columns all of it is followed."""
    namespace = f"n{uuid4().hex}"
    for run in runs:
        run["id"], run["org"] = str(uuid4()), "org-a"
        reports.report(database, caller("org-a"), document(run, namespace))
    with database.reading() as session:
        view = View(session, GOVERNMENT)
        node = f"external:org-a|{namespace}|d{start}"
        request = GraphRequest(direction="up" if up else "down", depth=depth)
        found = graph.walked(view, [State(node, column)], request)

    expected = reachable(column_graph(runs, up=up), (start, column), depth)
    assert {_read(node) for node in found.distances} == {state[0] for state in expected}


def _read(node: str) -> Any:
    """A node's number or run id."""
    kind, _, rest = node.partition(":")
    return str(UUID(rest)) if kind == "run" else int(rest.rsplit("|d", 1)[1])
