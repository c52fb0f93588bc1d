"""The runs of the data hub itself: data sets made from a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import nodes
from data_hub.domain.lineage.nodes import Edge
from data_hub.service.lineage import holding
from data_hub.store import ColumnLink, Derivation, RunRecord

NAMESPACE = "brain.data-hub"
PRODUCER = "urn:brain:data-hub"
SQL_FACET = "https://openlineage.io/spec/facets/1-0-1/SQLJobFacet.json#/$defs/SQLJobFacet"


def record_derivations(session: Session, dataset: str, version: str, pushes: Sequence[str], at: datetime) -> None:
    """Keeps the runs behind the derived pushes of a commit, in its transaction."""
    made_by = store.pushes_by_id(session, pushes)
    for derivation in store.get_derivations(session, pushes):
        owner = made_by[derivation.push].owner
        record = _run(derivation, dataset, owner, at)
        output = nodes.dataset_node(dataset, version)
        store.add_run(session, record)
        store.add_edges(session, owner, _edges(derivation, record.run_id, output))
        store.add_columns(session, _columns(derivation, output))
        holding.hand_over(session, record.run_id, dataset)


def job_name(dataset: str) -> str:
    """The name of the job that makes a data set."""
    return f"derive:{dataset}"


def _run(derivation: Derivation, dataset: str, owner: str, at: datetime) -> RunRecord:
    facets = {"run": {}, "job": {"sql": {"_producer": PRODUCER, "_schemaURL": SQL_FACET, "query": derivation.sql}}}
    return RunRecord(
        derivation.run_id,
        owner,
        NAMESPACE,
        job_name(dataset),
        "COMPLETE",
        at,
        derivation.started_at,
        "data-hub",
        PRODUCER,
        facets,
    )


def _edges(derivation: Derivation, run_id: str, output: str) -> Iterator[Edge]:
    run = nodes.run_node(run_id)
    for name, version in sorted(derivation.inputs.items()):
        yield Edge(nodes.dataset_node(name, version), run, "input")
    yield Edge(run, output, "output")


def _columns(derivation: Derivation, output: str) -> Iterator[ColumnLink]:
    for column, dataset, source, how in derivation.columns or ():
        node = nodes.dataset_node(dataset, derivation.inputs[dataset])
        yield ColumnLink(derivation.run_id, output, column, node, source, how)
