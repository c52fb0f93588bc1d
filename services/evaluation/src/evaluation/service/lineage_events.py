"""What a computation read, as an OpenLineage run event for the data hub's graph."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brain_contracts.events import LineageReported
from brain_kit.clock import rfc3339

from evaluation.domain.computations import Computation

NAMESPACE = "brain"
JOB_NAMESPACE = "brain.evaluation"
PRODUCER = "urn:brain:evaluation"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = "https://openlineage.io/spec/facets"
# Names of runs are made from this and the run's id, so that a repeated computation reports the same one.
RUNS = uuid.UUID("6f0e0f52-3f0b-4d0c-9c0a-0c5e7a1d2b31")


@dataclass(frozen=True)
class Computed:
    """One computation of a run: which periods, from which data sets (those that are registered), when."""

    run: str
    cluster: str
    computation: Computation
    periods: list[str]
    sources: list[dict[str, Any]]
    at: datetime


def lineage_run_id(run: str, computation: str) -> str:
    """The OpenLineage run id of a computation within a run; always the same."""
    return str(uuid.uuid5(RUNS, f"{run}/{computation}"))


def job_name(cluster: str, computation: str) -> str:
    """What the data hub calls the figure: the node `indicator:<cluster>/<computation>` of its graph."""
    return f"{cluster}/{computation}"


def lineage_event(computed: Computed, texts: dict[str, str], failure: str | None) -> LineageReported:
    """COMPLETE with the versions read; FAIL with the reason when no period gave a value.

    It has no outputs: a figure is no data set, the graph shows it as the indicator that the job's name says.
    """
    run_id = lineage_run_id(computed.run, computed.computation.id)
    run_facets: dict[str, Any] = {
        "brain_evaluation": _facet({"run": computed.run, "cluster": computed.cluster, "periods": computed.periods})
    }
    if failure is not None:
        run_facets["errorMessage"] = _facet({"message": failure, "programmingLanguage": "SQL"}, "ErrorMessageRunFacet")
    sql = next(iter(texts.values()), None)
    job_facets = {} if sql is None else {"sql": _facet({"query": sql}, "SQLJobFacet")}
    event = {
        "eventType": "COMPLETE" if failure is None else "FAIL",
        "eventTime": rfc3339(computed.at),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": run_id, "facets": run_facets},
        "job": {
            "namespace": JOB_NAMESPACE,
            "name": job_name(computed.cluster, computed.computation.id),
            "facets": job_facets,
        },
        "inputs": [_dataset(source) for source in computed.sources],
        "outputs": [],
    }
    return LineageReported(run_id=run_id, event=event)


def _dataset(source: dict[str, Any]) -> dict[str, Any]:
    facets = {}
    if source["version"] is not None:
        facets["version"] = _facet({"datasetVersion": source["version"]}, "DatasetVersionDatasetFacet")
    return {"namespace": NAMESPACE, "name": source["dataset"], "facets": facets}


def _facet(members: dict[str, Any], kind: str = "RunFacet") -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/1-0-1/{kind}.json", **members}
