"""The lineage of a data set, column, push, run, component or indicator, as one caller may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from brain_kit.problems import InvalidInput
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import nodes
from data_hub.domain.lineage.nodes import NodeUnknown
from data_hub.domain.lineage.walk import State, Walk, joined, walk
from data_hub.domain.policy import knows_totals
from data_hub.domain.refusals import dataset_unknown
from data_hub.domain.versions import snapshot_of
from data_hub.service.lineage.neighbours import View
from data_hub.service.readable import viewer_of

MOST_NODES = 2_000
MOST_DEPTH = 40
SHOWN_LINKS = 500
Direction = Literal["up", "down", "both"]


@dataclass(frozen=True)
class GraphRequest:
    """Where a walk begins: a node, or a data set with a version (empty: the newest) and perhaps a column."""

    dataset: str | None = None
    version: str | None = None
    column: str | None = None
    node: str | None = None
    direction: Direction = "both"
    depth: int = 6
    limit: int = 200
    after: int = 0


def lineage(database: Database, caller: Principal, request: GraphRequest) -> dict[str, Any]:
    """A page of the graph: nodes, nearest first, and the edges that lead to them from nodes shown so far.

    Raises InvalidInput, DatasetUnknown, NodeUnknown.
    """
    with database.reading() as session:
        view = View(session, caller)
        start = start_of(session, view, request)
        found = walked(view, start, request)
        order = list(found.distances)
        page = order[request.after : request.after + request.limit]
        place = {node: number for number, node in enumerate(order)}
        last = request.after + len(page)
        edges = [
            (edge, columns)
            for edge, columns in found.edges.items()
            if request.after <= max(place[edge.source], place[edge.target]) < last
        ]
        details = describe(session, view, caller, page)
    return {
        "start": [state.node for state in start],
        "nodes": [{"id": node, "distance": found.distances[node], **details[node]} for node in page],
        "edges": [
            {"from": edge.source, "to": edge.target, "kind": edge.kind, "columns": sorted(columns)}
            for edge, columns in sorted(edges, key=lambda item: (item[0].source, item[0].target))
        ],
        "total": len(order),
        "next": last if last < len(order) else None,
        "truncated": found.is_cut,
        # What others than government see ends where other organisations begin; said always, so that it tells nothing.
        "limited": not caller.is_government,
    }


def walked(view: View, start: Sequence[State], request: GraphRequest) -> Walk:
    """The walk that a request asks for."""
    ways = {"up": (view.above,), "down": (view.below,), "both": (view.above, view.below)}[request.direction]
    found = joined([walk(start, way, request.depth, MOST_NODES) for way in ways])
    found.is_cut |= view.is_cut
    return found


def start_of(session: Session, view: View, request: GraphRequest) -> list[State]:
    """The states that a request begins at. Raises InvalidInput, DatasetUnknown, NodeUnknown."""
    if (request.node is None) == (request.dataset is None):
        raise InvalidInput("请给出 dataset 或 node 其中一个", field="dataset")
    if request.node is not None:
        if request.version or request.column:
            raise InvalidInput("version 与 column 只与 dataset 一起使用", field="node")
        return [State(_known_node(session, view, request.node))]
    assert request.dataset is not None
    contract = view.contract(request.dataset)
    if contract is None:
        raise dataset_unknown(request.dataset)
    if request.column is not None and request.column not in contract.column_names:
        known = list(contract.column_names)
        raise InvalidInput(f"{request.dataset} 没有列 {request.column[:80]}", field="column", columns=known)
    if not request.version:
        newest = store.current_versions(session, [request.dataset]).get(request.dataset)
        # What events without a version have said hangs on a node of its own, so it is shown with the newest version.
        unversioned = State(nodes.dataset_node(request.dataset, ""), request.column)
        found = [State(nodes.dataset_node(request.dataset, newest), request.column)] if newest else []
        return [*found, unversioned] if not found or _has_neighbours(view, unversioned.node) else found
    version = str(snapshot_of(request.version))
    if (request.dataset, version) not in store.versions_by_id(session, {(request.dataset, version)}):
        raise NodeUnknown(f"{request.dataset} 从未有过版本 {version}", dataset=request.dataset)
    return [State(nodes.dataset_node(request.dataset, version), request.column)]


def _known_node(session: Session, view: View, node: str) -> str:
    kind = nodes.kind_of(node)
    is_there = node in view.visible([node])
    if is_there and kind in ("component", "indicator", "external"):
        is_there = _has_neighbours(view, node)
    if is_there and kind == "dataset":
        name, version = nodes.dataset_of(node)
        is_there = not version or (name, version) in store.versions_by_id(session, {(name, version)})
    if not is_there or kind == "org":
        raise NodeUnknown(f"没有节点 {node[:80]}")
    return node


def _has_neighbours(view: View, node: str) -> bool:
    return any(next(iter(way([State(node)])), None) is not None for way in (view.above, view.below))


def describe(session: Session, view: View, caller: Principal, page: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is shown of each node of a page."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in nodes.KINDS}
    for node in page:
        by_kind[nodes.kind_of(node)].append(node)
    found: dict[str, dict[str, Any]] = {}
    for kind in ("external", "component", "indicator", "org"):
        found |= {node: {"kind": kind, "name": nodes.name_of(node)} for node in by_kind[kind]}
    for node in by_kind["external"]:
        owner, namespace, name = nodes.name_of(node).split("|", 2)
        found[node] = {"kind": "external", "name": name, "namespace": namespace, "org": owner}
    found |= _datasets(session, view, caller, by_kind["dataset"])
    found |= _runs(session, view, by_kind["run"])
    return found | _pushes(session, by_kind["push"])


def _datasets(session: Session, view: View, caller: Principal, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    versions = store.versions_by_id(session, {nodes.dataset_of(node) for node in wanted})
    newest = store.current_versions(session, {nodes.dataset_of(node)[0] for node in wanted})
    found = {}
    for node in wanted:
        name, version = nodes.dataset_of(node)
        contract = view.contract(name)
        assert contract is not None
        made = versions.get((name, version))
        shown = knows_totals(viewer_of(caller), contract.access, contract.owner_org)
        found[node] = {
            "kind": "dataset",
            "name": name,
            "title": contract.title_zh,
            "title_en": contract.title_en,
            "owner_org": contract.owner_org,
            "version": version or None,
            "is_current": bool(version) and newest.get(name) == version,
            "sequence": None if made is None else made.sequence,
            "committed_at": None if made is None else rfc3339(made.committed_at),
            "rows": made.rows if made is not None and shown else None,
        }
    return found


def _runs(session: Session, view: View, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    view.load_links(wanted)
    records = store.get_runs(session, [nodes.name_of(node) for node in wanted])
    visible = view.visible(
        {end for node in wanted for link in view.links_of(node) for end in (link.input, link.output)}
    )
    return {
        nodes.run_node(run_id): {
            "kind": "run",
            "name": record.job_name,
            "namespace": record.job_namespace,
            "org": record.org or None,
            "state": record.state,
            "started_at": rfc3339(record.first_at),
            "state_at": rfc3339(record.state_at),
            "columns": [
                {
                    "output": link.output,
                    "column": link.output_column,
                    "input": link.input,
                    "from_column": link.input_column,
                    "how": link.how,
                }
                for link in view.links_of(nodes.run_node(run_id))
                if link.input in visible and link.output in visible
            ][:SHOWN_LINKS],
        }
        for run_id, record in records.items()
    }


def _pushes(session: Session, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        f"push:{push_id}": {
            "kind": "push",
            "name": push_id,
            "dataset": push.dataset,
            "org": push.owner,
            "mode": push.mode,
            "accepted": push.accepted,
            "rejected": push.rejected,
            "at": rfc3339(push.created_at),
        }
        for push_id, push in store.pushes_by_id(session, [nodes.name_of(node) for node in wanted]).items()
    }
