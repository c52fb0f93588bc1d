"""Runs, edges and columns of the lineage; everything is a set, so what comes twice changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from data_hub.domain.lineage.nodes import Edge
from data_hub.store.tables import (
    dataset_versions,
    datasets,
    derivations,
    lineage_columns,
    lineage_edges,
    lineage_runs,
    pushes,
)
from data_hub.store.versions import VersionRecord

# SQLite allows some thousands of bound values a statement.
TOGETHER = 500


@dataclass(frozen=True)
class RunRecord:
    """A run as it is kept."""

    run_id: str
    org: str
    job_namespace: str
    job_name: str
    state: str
    state_at: datetime
    first_at: datetime
    reporter: str
    producer: str
    facets: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnLink:
    """An input column that went into an output column. how: as OpenLineage says, such as IDENTITY."""

    run_id: str
    output: str
    output_column: str
    input: str
    input_column: str
    how: str


@dataclass(frozen=True)
class Derivation:
    """What a push that derives a data set was made of."""

    push: str
    run_id: str
    sql: str
    parameters: Any
    inputs: dict[str, str]
    columns: list[list[str]] | None
    started_at: datetime


def _insert_absent(session: Session, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts rows, leaving those alone whose key is there."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    for start in range(0, len(rows), TOGETHER):
        session.execute(insert.on_conflict_do_nothing(), list(rows[start : start + TOGETHER]))


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), TOGETHER):
        yield ordered[start : start + TOGETHER]


def get_run(session: Session, run_id: str, *, locked: bool = False) -> RunRecord | None:
    """A run; locked: others that change it wait."""
    wanted = sa.select(lineage_runs).where(lineage_runs.c.run_id == run_id)
    row = session.execute(wanted.with_for_update() if locked else wanted).one_or_none()
    return None if row is None else RunRecord(**row._mapping)


def add_run(session: Session, record: RunRecord) -> None:
    """Keeps a new run; nothing happens when it is there."""
    _insert_absent(session, lineage_runs, [asdict(record)])


def save_run(session: Session, record: RunRecord) -> None:
    """Changes a run."""
    changed = sa.update(lineage_runs).where(lineage_runs.c.run_id == record.run_id)
    session.execute(changed.values(**asdict(record)))


def get_runs(session: Session, run_ids: Collection[str]) -> dict[str, RunRecord]:
    """Runs by id."""
    found = {}
    for part in _parts(run_ids):
        for row in session.execute(sa.select(lineage_runs).where(lineage_runs.c.run_id.in_(part))):
            found[row.run_id] = RunRecord(**row._mapping)
    return found


def add_edges(session: Session, org: str, edges: Iterable[Edge]) -> None:
    """Keeps the edges of a run of an organisation."""
    _insert_absent(session, lineage_edges, [asdict(edge) | {"org": org} for edge in edges])


def edges_at(session: Session, nodes: Collection[str], *, up: bool, org: str | None, limit: int) -> list[Edge]:
    """Edges that lead to the nodes (up) or from them (down), of the runs of one organisation (None: of all)."""
    table = lineage_edges
    end = table.c.target if up else table.c.source
    found: list[Edge] = []
    for part in _parts(nodes):
        wanted = sa.select(table).where(end.in_(part)).order_by(table.c.source, table.c.target).limit(limit)
        if org is not None:
            wanted = wanted.where(table.c.org == org)
        found += [Edge(row.source, row.target, row.kind) for row in session.execute(wanted)]
    return found


def add_columns(session: Session, links: Iterable[ColumnLink]) -> None:
    """Keeps column links."""
    _insert_absent(session, lineage_columns, [asdict(link) for link in links])


def columns_of_runs(session: Session, run_ids: Collection[str]) -> list[ColumnLink]:
    """Column links of runs."""
    return [
        ColumnLink(**row._mapping)
        for part in _parts(run_ids)
        for row in session.execute(sa.select(lineage_columns).where(lineage_columns.c.run_id.in_(part)))
    ]


def add_derivation(session: Session, record: Derivation) -> None:
    """Keeps what a push will be made of."""
    session.execute(sa.insert(derivations).values(**asdict(record)))


def get_derivations(session: Session, push_ids: Collection[str]) -> list[Derivation]:
    """What pushes were made of, as far as they derive something."""
    return [
        Derivation(**row._mapping)
        for part in _parts(push_ids)
        for row in session.execute(sa.select(derivations).where(derivations.c.push.in_(part)))
    ]


def versions_by_id(session: Session, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], VersionRecord]:
    """Versions by data set and id."""
    table = dataset_versions
    found = {}
    for name in sorted({dataset for dataset, _ in wanted}):
        for part in _parts({version for dataset, version in wanted if dataset == name}):
            for row in session.execute(sa.select(table).where(table.c.dataset == name, table.c.version.in_(part))):
                found[name, row.version] = VersionRecord(**row._mapping)
    return found


def versions_at(session: Session, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], VersionRecord]:
    """Versions by data set and number."""
    found = {}
    for name in sorted({dataset for dataset, _ in wanted}):
        numbers = sorted(number for dataset, number in wanted if dataset == name)
        for start in range(0, len(numbers), TOGETHER):
            chosen = sa.select(dataset_versions).where(
                dataset_versions.c.dataset == name,
                dataset_versions.c.sequence.in_(numbers[start : start + TOGETHER]),
            )
            for row in session.execute(chosen):
                found[name, row.sequence] = VersionRecord(**row._mapping)
    return found


def current_versions(session: Session, names: Collection[str]) -> dict[str, str]:
    """The newest version of data sets; those without any are left out."""
    wanted = sa.select(datasets.c.name, datasets.c.snapshot).where(datasets.c.name.in_(sorted(names)))
    return {row.name: row.snapshot for row in session.execute(wanted) if row.snapshot is not None}


def pushes_by_id(session: Session, push_ids: Collection[str]) -> dict[str, sa.Row[Any]]:
    """Of pushes what the graph shows: id, dataset, owner, mode, state, accepted, rejected, snapshot, created_at."""
    names = ("id", "dataset", "owner", "mode", "state", "accepted", "rejected", "snapshot", "created_at")
    shown = [pushes.c[name] for name in names]
    return {
        row.id: row
        for part in _parts(push_ids)
        for row in session.execute(sa.select(*shown).where(pushes.c.id.in_(part)))
    }
