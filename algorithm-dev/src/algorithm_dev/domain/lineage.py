"""What a run tells of where its result comes from: an OpenLineage RunEvent.

OpenLineage 2-0-2, facets Version and ColumnLineage (https://openlineage.io/spec). Data sets are named
`brain` / `<warehouse>.<dataset>`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from algorithm_dev.domain.card import Card

PRODUCER = "urn:brain:algorithm-dev"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
VERSION_FACET = (
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
)
COLUMN_FACET = (
    "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
)
ERROR_FACET = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
OWN_FACET = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
NAMESPACE = "brain"
RUNS = uuid.UUID("9d3a3f0e-6a1f-4f43-9c0b-2b1c3c1b7a51")


def run_event(row: Any, card: Card, sources: dict[str, list[str]], at: datetime) -> dict[str, Any]:
    """The event of a run that has ended. row: the run; sources: input columns by output column, as far as known."""
    request, facts = row.request, row.facts
    ok = row.state == "succeeded"
    component = {"name": card.name, "version": card.version, "digest": row.digest, "licence": card.licence}
    own = component | {"run": row.id, "job": row.job_id, "filter": request["filter"]}
    run_facets: dict[str, Any] = {"brain_component": _facet(OWN_FACET) | own}
    if not ok:
        told = {"message": row.reason, "programmingLanguage": card.runtime}
        run_facets["errorMessage"] = _facet(ERROR_FACET) | told
    outputs = []
    if ok:
        output = _dataset(request["into"], facts["output_version"])
        fields = {column: _fields(request, names) for column, names in sources.items() if names}
        if fields:
            output["facets"]["columnLineage"] = _facet(COLUMN_FACET) | {"fields": fields}
        outputs.append(output)
    return {
        "eventType": "COMPLETE" if ok else "FAIL",
        "eventTime": at.isoformat().replace("+00:00", "Z"),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": str(uuid.uuid5(RUNS, row.id)), "facets": run_facets},
        "job": {"namespace": f"{NAMESPACE}.algorithm-dev", "name": f"{card.name}@{card.version}"},
        "inputs": [_dataset(request["dataset"], request["dataset_version"])],
        "outputs": outputs,
    }


def _dataset(name: str, version: str) -> dict[str, Any]:
    facets = {"version": _facet(VERSION_FACET) | {"datasetVersion": version}}
    return {"namespace": NAMESPACE, "name": name, "facets": facets}


def _fields(request: dict[str, Any], names: list[str]) -> dict[str, Any]:
    mapping = request["mapping"]
    return {
        "inputFields": [
            {
                "namespace": NAMESPACE,
                "name": request["dataset"],
                "field": mapping.get(name, name),
                "transformations": [{"type": "DIRECT", "subtype": "TRANSFORMATION"}],
            }
            for name in names
        ]
    }


def _facet(schema: str) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": schema}
