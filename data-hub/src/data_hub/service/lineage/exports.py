"""The walked graph as OpenLineage events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import export, nodes
from data_hub.domain.lineage.walk import State
from data_hub.domain.policy import knows_totals
from data_hub.service.lineage.graph import GraphRequest, start_of, walked
from data_hub.service.lineage.neighbours import View
from data_hub.service.readable import viewer_of


def events(database: Database, caller: Principal, request: GraphRequest) -> dict[str, Any]:
    """The runs and commits among the nodes of a walk, as events with all their ends that the caller may see.

    Raises what `graph.lineage` raises.
    """
    with database.reading() as session:
        view = View(session, caller)
        found = walked(view, start_of(session, view, request), request)
        order = list(found.distances)
        page = order[request.after : request.after + request.limit]
        runs = [node for node in page if node.startswith("run:")]
        versions = [node for node in page if nodes.kind_of(node) == "dataset" and nodes.dataset_of(node)[1]]
        items = [*_runs(session, view, runs), *_commits(session, view, caller, versions)]
    last = request.after + len(page)
    return {
        "items": sorted(items, key=lambda item: (str(item["eventTime"]), str(item["run"]["runId"]))),
        "next": last if last < len(order) else None,
        "truncated": found.is_cut,
        "limited": not caller.is_government,
    }


def _runs(session: Session, view: View, wanted: Sequence[str]) -> list[dict[str, Any]]:
    view.load_links(wanted)
    records = store.get_runs(session, [nodes.name_of(node) for node in wanted])
    states = [State(node) for node in wanted]
    above, below = list(view.above(states)), list(view.below(states))
    made = []
    for node in wanted:
        record = records[nodes.name_of(node)]
        inputs = [step.reached.node for step in above if step.origin.node == node and step.edge.kind == "input"]
        outputs = [step.reached.node for step in below if step.origin.node == node and step.edge.kind == "output"]
        columns = [
            (link.output, link.output_column, link.input, link.input_column, link.how)
            for link in view.links_of(node)
            if link.input in inputs and link.output in outputs
        ]
        shown = asdict(record) | {"state_at": rfc3339(record.state_at)}
        made.append(export.run_event(shown, sorted(inputs), sorted(outputs), columns))
    return made


def _commits(session: Session, view: View, caller: Principal, wanted: Sequence[str]) -> list[dict[str, Any]]:
    known = store.versions_by_id(session, {nodes.dataset_of(node) for node in wanted})
    steps = list(view.above([State(node) for node in wanted]))
    made = []
    for node in wanted:
        version = known.get(nodes.dataset_of(node))
        contract = view.contract(nodes.dataset_of(node)[0])
        if version is None or contract is None:
            continue
        sources = [
            step.reached.node for step in steps if step.origin.node == node and step.edge.kind in ("push", "previous")
        ]
        shown = knows_totals(viewer_of(caller), contract.access, contract.owner_org)
        rows = version.rows if shown else None
        made.append(export.commit_event(node, rfc3339(version.committed_at), rows, sorted(sources)))
    return made
