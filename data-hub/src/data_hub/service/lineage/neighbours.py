"""What lies next to a node, as far as one caller may see it: from stored edges, and from what commits have kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from brain_contracts.contract import DatasetContract
from brain_kit.auth import Principal
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import nodes
from data_hub.domain.lineage.nodes import Edge
from data_hub.domain.lineage.walk import State, Step
from data_hub.service.readable import is_known_to
from data_hub.store import ColumnLink, VersionRecord

MOST_EDGES = 20_000
WITH_EDGES = ("dataset", "external", "run", "component", "indicator")
WITH_COLUMNS = ("dataset", "external")


class View:
    """The graph as one caller sees it.

    Nodes that the caller may not know of are as if they were not there, and no walk leads through them: data sets of
    others, other organisations' pushes and runs, and other organisations as sources.
    """

    def __init__(self, session: Session, caller: Principal) -> None:
        self._session = session
        self._caller = caller
        self._only_org = None if caller.is_government else caller.org
        self._contracts: dict[str, DatasetContract | None] = {}
        self._links: dict[str, list[ColumnLink]] = {}
        # Some nodes have more edges than are looked at.
        self.is_cut = False

    def contract(self, name: str) -> DatasetContract | None:
        """The contract of a data set; None when the caller may not know of it."""
        if name not in self._contracts:
            found = store.get_contract(self._session, name)
            known = found is not None and is_known_to(self._caller, found)
            self._contracts[name] = found if known else None
        return self._contracts[name]

    def visible(self, wanted: Collection[str]) -> set[str]:
        """Those of some nodes that the caller may see. Raises NodeInvalid for a text that names none."""
        by_kind: dict[str, list[str]] = defaultdict(list)
        for node in wanted:
            by_kind[nodes.kind_of(node)].append(node)
        found = {node for node in by_kind["dataset"] if self.contract(nodes.dataset_of(node)[0]) is not None}
        found |= set(by_kind["component"]) | set(by_kind["indicator"])
        only = self._only_org
        found |= {node for node in by_kind["org"] if only in (None, nodes.name_of(node))}
        found |= {node for node in by_kind["external"] if only in (None, nodes.name_of(node).split("|")[0])}
        runs = store.get_runs(self._session, [nodes.name_of(node) for node in by_kind["run"]])
        found |= {nodes.run_node(run_id) for run_id, run in runs.items() if only in (None, run.org)}
        pushes = store.pushes_by_id(self._session, [nodes.name_of(node) for node in by_kind["push"]])
        return found | {f"push:{push_id}" for push_id, push in pushes.items() if only in (None, push.owner)}

    def links_of(self, run: str) -> list[ColumnLink]:
        """Column links of a run."""
        return self._links.get(nodes.name_of(run), [])

    def load_links(self, runs: Iterable[str]) -> None:
        """Reads the column links of runs that were not read yet."""
        missing = {nodes.name_of(run) for run in runs} - self._links.keys()
        for run_id in missing:
            self._links[run_id] = []
        for link in store.columns_of_runs(self._session, missing):
            self._links[link.run_id].append(link)

    def above(self, frontier: Sequence[State]) -> Iterator[Step]:
        """Steps to what the states come from."""
        yield from self._shown(frontier, up=True)

    def below(self, frontier: Sequence[State]) -> Iterator[Step]:
        """Steps to what was made of the states."""
        yield from self._shown(frontier, up=False)

    def _shown(self, frontier: Sequence[State], *, up: bool) -> Iterator[Step]:
        steps = [*self._stored(frontier, up=up), *self._commits(frontier, up=up), *self._pushes(frontier, up=up)]
        visible = self.visible({step.reached.node for step in steps})
        return (step for step in steps if step.reached.node in visible)

    def _stored(self, frontier: Sequence[State], *, up: bool) -> Iterator[Step]:
        """Steps along the edges of runs."""
        states = defaultdict(list)
        for state in frontier:
            if nodes.kind_of(state.node) in WITH_EDGES:
                states[state.node].append(state)
        edges = store.edges_at(self._session, states.keys(), up=up, org=self._only_org, limit=MOST_EDGES)
        self.is_cut |= len(edges) >= MOST_EDGES
        if any(state.column is not None for state in frontier):
            self.load_links(end for edge in edges for end in (edge.source, edge.target) if end.startswith("run:"))
        for edge in edges:
            here, there = (edge.target, edge.source) if up else (edge.source, edge.target)
            for state in states[here]:
                for reached in self._reached(state, there, up=up):
                    yield Step(edge, state, reached)

    def _reached(self, state: State, there: str, *, up: bool) -> Iterator[State]:
        """The states behind an edge: whole nodes, or the columns that belong to the one that is followed."""
        kind = nodes.kind_of(there)
        if state.column is None or kind not in (*WITH_COLUMNS, "run"):
            yield State(there)
        elif kind == "run":
            ends = {link.output if up else link.input for link in self.links_of(there)}
            columns = {
                link.output_column if up else link.input_column
                for link in self.links_of(there)
                if (link.output if up else link.input) == state.node
            }
            if not self.links_of(there) or (up and state.node not in ends):
                yield State(there)  # nothing is known of its columns: all of it may matter
            elif up or state.column in columns:
                yield State(there, state.column, state.node)
        else:
            for link in self.links_of(state.node):
                if up and (link.output, link.output_column, link.input) == (state.via, state.column, there):
                    yield State(there, link.input_column)
                if not up and (link.input, link.input_column, link.output) == (state.via, state.column, there):
                    yield State(there, link.output_column)

    def _commits(self, frontier: Sequence[State], *, up: bool) -> Iterator[Step]:
        """Steps between versions of a data set, and up to the pushes that a commit took."""
        states = [state for state in frontier if nodes.kind_of(state.node) == "dataset"]
        known = store.versions_by_id(self._session, {nodes.dataset_of(state.node) for state in states})
        step = -1 if up else 1
        beside = store.versions_at(self._session, {(item.dataset, item.sequence + step) for item in known.values()})
        for state in states:
            version = known.get(nodes.dataset_of(state.node))
            if version is None:
                continue
            other = beside.get((version.dataset, version.sequence + step))
            if other is not None and not (version if up else other).is_whole:
                yield self._between(state, other, up=up)
            for push in version.pushes if up else ():
                node = f"push:{push['id']}"
                yield Step(Edge(node, state.node, "push"), state, State(node))

    @staticmethod
    def _between(state: State, other: VersionRecord, *, up: bool) -> Step:
        node = nodes.dataset_node(other.dataset, other.version)
        edge = Edge(node, state.node, "previous") if up else Edge(state.node, node, "previous")
        return Step(edge, state, State(node, state.column))

    def _pushes(self, frontier: Sequence[State], *, up: bool) -> Iterator[Step]:
        """Steps from pushes to their organisation and to the version that they went into."""
        states = {nodes.name_of(state.node): state for state in frontier if nodes.kind_of(state.node) == "push"}
        for push_id, push in store.pushes_by_id(self._session, states).items():
            state = states[push_id]
            if up:
                node = f"org:{push.owner}"
                yield Step(Edge(node, state.node, "source"), state, State(node))
            elif push.state == "committed" and push.snapshot is not None:
                node = nodes.dataset_node(push.dataset, push.snapshot)
                yield Step(Edge(state.node, node, "push"), state, State(node))
