"""The graph as OpenLineage 2-0-2 RunEvents, which other catalogues read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from data_hub.domain.lineage import nodes

PRODUCER = "urn:brain:data-hub"
EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
COMMITS = UUID("5b1d8c1e-6f0e-5a5c-9d0b-6c3b7c1f2a10")
DIRECT = frozenset({"IDENTITY", "TRANSFORMATION", "AGGREGATION"})


def facet(kind: str, number: str, **members: Any) -> dict[str, Any]:
    """A facet of the standard with its base fields."""
    url = f"https://openlineage.io/spec/facets/{number}/{kind}.json#/$defs/{kind}"
    return {"_producer": PRODUCER, "_schemaURL": url} | members


def dataset(node: str, facets: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A node as an input or output."""
    given = dict(facets or {})
    kind = nodes.kind_of(node)
    if kind == "dataset":
        name, version = nodes.dataset_of(node)
        if version:
            given["version"] = facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=version)
        return {"namespace": nodes.BRAIN, "name": name, "facets": given}
    if kind == "external":
        _, namespace, name = nodes.name_of(node).split("|", 2)
        return {"namespace": namespace, "name": name, "facets": given}
    return {"namespace": f"{nodes.BRAIN}.{kind}", "name": nodes.name_of(node), "facets": given}


def run_event(
    run: Mapping[str, Any],
    inputs: Iterable[str],
    outputs: Iterable[str],
    columns: Iterable[tuple[str, str, str, str, str]],
) -> dict[str, Any]:
    """The event of a run. columns: (output, its column, input, its column, how)."""
    by_output: dict[str, dict[str, Any]] = {}
    for output, column, source, source_column, how in columns:
        field = _input_field(source, source_column, how)
        made_of = by_output.setdefault(output, {}).setdefault(column, {"inputFields": []})
        made_of["inputFields"].append(field)
    made = []
    for output in outputs:
        fields = by_output.get(output)
        facets = {"columnLineage": facet("ColumnLineageDatasetFacet", "1-2-0", fields=fields)} if fields else {}
        made.append(dataset(output, facets))
    return {
        "eventType": run["state"],
        "eventTime": run["state_at"],
        "producer": run["producer"],
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": run["run_id"], "facets": run["facets"].get("run", {})},
        "job": {
            "namespace": run["job_namespace"],
            "name": run["job_name"],
            "facets": run["facets"].get("job", {}),
        },
        "inputs": [dataset(node) for node in inputs],
        "outputs": made,
    }


def _input_field(source: str, column: str, how: str) -> dict[str, Any]:
    named = dataset(source)
    field: dict[str, Any] = {"namespace": named["namespace"], "name": named["name"], "field": column}
    if how:
        kind = "DIRECT" if how in DIRECT or how == "DIRECT" else "INDIRECT"
        subtype = {} if how in ("DIRECT", "INDIRECT") else {"subtype": how}
        field["transformations"] = [{"type": kind, **subtype}]
    return field


def commit_event(node: str, committed_at: str, rows: int | None, sources: Iterable[str]) -> dict[str, Any]:
    """The event of a commit: pushes, and the version before, became a version. Its run id follows from the version."""
    output = dataset(node)
    if rows is not None:
        kind = "OutputStatisticsOutputDatasetFacet"
        output["outputFacets"] = {"outputStatistics": facet(kind, "1-0-2", rowCount=rows)}
    return {
        "eventType": "COMPLETE",
        "eventTime": committed_at,
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": str(uuid5(COMMITS, node)), "facets": {}},
        "job": {
            "namespace": "brain.data-hub",
            "name": f"commit:{nodes.dataset_of(node)[0]}",
            "facets": {},
        },
        "inputs": [dataset(source) for source in sources],
        "outputs": [output],
    }
