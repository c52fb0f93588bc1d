"""Data sets as one caller may read them, at one snapshot."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from brain_contracts.contract import DatasetContract
from brain_kit.auth import Principal
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from brain_kit.problems import NotFound

from data_hub.domain.policy import OWNER_COLUMN, TablePolicy, Viewer, knows, policy_of
from data_hub.domain.tables import SYSTEM_COLUMNS, ColumnField, TableState
from data_hub.engine.sandbox.scope import Scope, ScopeColumn, ScopeTable
from data_hub.engine.warehouse import Warehouse, contract_schema
from data_hub.store.datasets import get_contract
from data_hub.store.queries import get_version

PATHS_LIFETIME_S = 60.0
KEPT_PATHS = 512
# No file has a column with such an id, so DuckDB fills it with nulls.
ABSENT_FIELD_ID = 1_000_000

AsOf = int | datetime | None


class DatasetUnknown(NotFound):
    """No data set has this name."""

    code, title = "dataset_unknown", "Unknown data set"


@dataclass(frozen=True)
class ReadableTable:
    """A data set, its state and what the caller sees of it."""

    contract: DatasetContract
    state: TableState
    policy: TablePolicy
    table: ScopeTable

    @property
    def name(self) -> str:
        """`warehouse.dataset`."""
        return self.contract.name

    @property
    def snapshot(self) -> str | None:
        """The snapshot as a text: the number does not fit into a JSON number."""
        return None if self.state.snapshot_id is None else str(self.state.snapshot_id)

    @property
    def column_types(self) -> dict[str, str]:
        """The visible columns, in order, with their DuckDB types."""
        return {column.name: column.duckdb_type for column in self.table.columns}


@dataclass(frozen=True)
class WarehouseReading:
    """Where contracts, table states and files come from.

    contract: by name, None when unknown. state: of a data set at a snapshot id or a time (None: now); raises a Problem
    when there is none. local_path: of an object's key.
    """

    contract: Callable[[str], DatasetContract | None]
    state: Callable[[str, AsOf], TableState]
    local_path: Callable[[str], Path]


def warehouse_reading(database: Database, warehouse: Warehouse, objects: ObjectStore) -> WarehouseReading:
    """Reads from the hub's own tables. A contract is decoded once a version."""
    decoded: dict[str, tuple[str, DatasetContract]] = {}

    def contract(name: str) -> DatasetContract | None:
        with database.reading() as session:
            version = get_version(session, name)
            known = decoded.get(name)
            if version is None or (known is not None and known[0] == version):
                return known[1] if known is not None and version is not None else None
            found = get_contract(session, name)
        if found is not None:
            decoded[name] = (version, found)
        return found

    return WarehouseReading(contract, warehouse.table_state, objects.local_path)


class ReadableTables:
    """Opens data sets for reading."""

    def __init__(self, source: WarehouseReading) -> None:
        self.source = source
        self._paths: OrderedDict[tuple[str, int | None], tuple[float, tuple[str, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, name: str, viewer: Viewer, as_of: AsOf = None) -> ReadableTable:
        """A data set as the viewer may read it. Raises DatasetUnknown, and what the warehouse says about `as_of`."""
        contract = self.source.contract(name)
        if contract is None or not knows(viewer, contract.access, contract.owner_org):
            raise DatasetUnknown(f"没有数据集 {name}，目录见 GET /v1/datasets", dataset=name)
        state = self.source.state(name, as_of)
        fields = _fields(contract, state)
        policy = policy_of(viewer, contract.access, tuple(fields))
        columns = tuple(
            ScopeColumn(column, fields[column].field_id, fields[column].duckdb_type) for column in policy.columns
        )
        table = ScopeTable(
            warehouse=contract.warehouse,
            dataset=contract.table,
            columns=columns,
            files=self._local_files(state),
            owner=policy.owner,
            owner_field_id=fields[OWNER_COLUMN].field_id,
        )
        return ReadableTable(contract, state, policy, table)

    def _local_files(self, state: TableState) -> tuple[str, ...]:
        """Paths of the table's files. Remembered for a minute: asking again keeps cached copies from being removed."""
        key = (state.dataset, state.snapshot_id)
        with self._lock:
            known = self._paths.get(key)
            if known is not None and time.monotonic() - known[0] < PATHS_LIFETIME_S:
                return known[1]
        paths = tuple(str(self.source.local_path(file.key)) for file in state.files)
        with self._lock:
            self._paths[key] = (time.monotonic(), paths)
            self._paths.move_to_end(key)
            while len(self._paths) > KEPT_PATHS:
                self._paths.popitem(last=False)
        return paths


def _fields(contract: DatasetContract, state: TableState) -> dict[str, ColumnField]:
    """The contract's columns, then the system columns. A column that the table does not have yet reads as null."""
    stored = {column.name: column for column in state.schema or contract_schema(contract)}
    wanted = {column.name: column.duckdb_type for column in contract.columns} | dict(SYSTEM_COLUMNS)
    return {
        name: stored.get(name) or ColumnField(name, ABSENT_FIELD_ID + number, kind)
        for number, (name, kind) in enumerate(wanted.items())
    }


def viewer_of(principal: Principal) -> Viewer:
    """The viewer that a principal is."""
    return Viewer(principal.subject, principal.org, principal.is_government)


def is_known_to(caller: Principal, contract: DatasetContract) -> bool:
    """Whether the caller may know of the data set."""
    return knows(viewer_of(caller), contract.access, contract.owner_org)


def scope_of(tables: Iterable[ReadableTable]) -> Scope:
    """The scope that holds the tables; equal for equal snapshots seen with equal rights."""
    chosen = sorted(tables, key=lambda table: table.name)
    facts = repr([(table.name, table.state.snapshot_id, table.table) for table in chosen])
    return Scope(tuple(table.table for table in chosen), hashlib.sha256(facts.encode()).hexdigest())
