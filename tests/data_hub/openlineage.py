"""OpenLineage documents for tests."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

PRODUCER = "https://erp.example/etl"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


def facet(kind: str, number: str = "1-0-1", **members: Any) -> dict[str, Any]:
    """A facet with its base fields."""
    return {"_producer": PRODUCER, "_schemaURL": f"https://openlineage.io/spec/facets/{number}/{kind}.json"} | members


def dataset(
    name: str, version: str = "", columns: dict[str, list[tuple[str, str]]] | None = None, namespace: str = "brain"
) -> dict[str, Any]:
    """An input or output. columns: by output column the (data set, column) that it was made of."""
    facets: dict[str, Any] = {}
    if version:
        facets["version"] = facet("DatasetVersionDatasetFacet", datasetVersion=version)
    if columns is not None:
        fields = {
            column: {
                "inputFields": [
                    {"namespace": "brain", "name": source, "field": field,
                     "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}]}
                    for source, field in made_of
                ]
            }
            for column, made_of in columns.items()
        }  # fmt: skip
        facets["columnLineage"] = facet("ColumnLineageDatasetFacet", "1-2-0", fields=fields)
    return {"namespace": namespace, "name": name, "facets": facets}


def event(
    inputs: list[dict[str, Any]] | None = None, outputs: list[dict[str, Any]] | None = None, **changes: Any
) -> dict[str, Any]:
    """A RunEvent. changes: kind, at, run_id, job (namespace, name), and members to replace."""
    namespace, name = changes.pop("job", ("erp", "nightly"))
    return {
        "eventType": changes.pop("kind", "COMPLETE"),
        "eventTime": changes.pop("at", "2026-11-03T02:15:05Z"),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": changes.pop("run_id", None) or str(uuid4())},
        "job": {"namespace": namespace, "name": name},
        "inputs": inputs or [],
        "outputs": outputs or [],
    } | changes
