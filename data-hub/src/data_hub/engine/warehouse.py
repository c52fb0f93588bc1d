"""Tables of the warehouse: where their files are at any moment, and how a table comes to be and changes shape."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from brain_contracts.contract import DatasetContract
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from brain_kit.problems import NotFound

from data_hub.domain.tables import SYSTEM_COLUMNS, ColumnField, DataFileRef, TableState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from data_hub.engine.catalogue import HubCatalogue

__all__ = ["ColumnField", "DataFileRef", "SnapshotFacts", "SnapshotUnknown", "TableState", "Warehouse"]

CACHED_STATES = 256
CACHED_MANIFESTS = 512
SHOWN_VERSIONS = 20
PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.row-group-limit": "131072",
    "write.delete.isolation-level": "snapshot",
    "write.update.isolation-level": "snapshot",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class SnapshotUnknown(NotFound):
    """The table has no such snapshot, or none that old; `versions` are the newest that it has."""

    code = "snapshot_unknown"
    title = "Snapshot unknown"


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot of a table as the table itself knows it."""

    version: str
    sequence: int
    committed_at: datetime
    rows: int


class Warehouse:
    """The tables of the three warehouses; safe to share between threads. Opens the catalogue on first use."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self.database = database
        self.objects = objects
        self._states: OrderedDict[tuple[str, int | None], TableState] = OrderedDict()
        self._manifests: OrderedDict[str, list[DataFile]] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def catalogue(self) -> HubCatalogue:
        """The Iceberg catalogue. Imported late: it costs a second and 60 MB that a start should not wait for."""
        from data_hub.engine.catalogue import HubCatalogue

        return HubCatalogue(self.database, self.objects)

    def table_state(self, dataset: str, as_of: datetime | int | None = None) -> TableState:
        """Schema and files of a data set now, at a moment, or at a snapshot id.

        Cached by table metadata, which never change. Before the first commit there is no table: no columns and no
        files (`contract_schema` tells the columns it will have). The schema may hold columns that the contract no
        longer has. Raises SnapshotUnknown when `as_of` names a snapshot that the table does not have (any more).
        """
        table = self.table(dataset)
        if table is None:
            if isinstance(as_of, int):
                raise _unknown(dataset, as_of, [])
            return TableState(dataset, ())
        return self.state_of(dataset, table, _snapshot_at(table, dataset, as_of))

    def state_of(self, dataset: str, table: Table, snapshot: Snapshot | None) -> TableState:
        """The state of a loaded table at one of its snapshots; None means before the first."""
        known_as = (table.metadata_location, None if snapshot is None else snapshot.snapshot_id)
        with self._lock:
            state = self._states.get(known_as)
        if state is None:
            state = self._read_state(dataset, table, snapshot)
            with self._lock:
                self._states[known_as] = state
                while len(self._states) > CACHED_STATES:
                    self._states.popitem(last=False)
        return state

    def table(self, dataset: str) -> Table | None:
        """The Iceberg table of a data set as it is now; None before its first commit."""
        namespace, name = dataset.split(".", 1)
        location = self.catalogue.pointer(namespace, name)
        return None if location is None else self.catalogue.table_at(namespace, name, location)

    def ready_table(self, contract: DatasetContract) -> Table:
        """The table, made when there is none, brought to the shape of the contract."""
        from data_hub.engine.evolution import evolve, new_schema

        table = self.table(contract.name)
        if table is None:
            namespace, name = contract.name.split(".", 1)
            location = self.objects.location(f"{table_folder(contract.name)}/x").removesuffix("/x")
            self.catalogue.create(namespace, name, new_schema(contract), location, PROPERTIES)
            table = self.table(contract.name)
            assert table is not None
        return evolve(table, contract)

    def data_files(self, table: Table, snapshot: Snapshot | None) -> list[DataFile]:
        """Manifest entries of the data files of a snapshot. Manifests never change, so each is read once."""
        found: list[DataFile] = []
        for manifest in [] if snapshot is None else snapshot.manifests(table.io):
            with self._lock:
                files = self._manifests.get(manifest.manifest_path)
            if files is None:
                files = [entry.data_file for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)]
                with self._lock:
                    self._manifests[manifest.manifest_path] = files
                    while len(self._manifests) > CACHED_MANIFESTS:
                        self._manifests.popitem(last=False)
            found += files
        return found

    def snapshots(self, dataset: str) -> list[SnapshotFacts]:
        """The versions of a data set that can be read, newest first; none before its first commit."""
        table = self.table(dataset)
        return [] if table is None else [_facts(item) for item in _newest_first(table)]

    def close(self) -> None:
        """Releases the catalogue's threads when it was opened."""
        if "catalogue" in self.__dict__:
            self.catalogue.close()

    def _read_state(self, dataset: str, table: Table, snapshot: Snapshot | None) -> TableState:
        current = table.schema()
        schema = schema_fields(current)
        if snapshot is None:
            return TableState(dataset, schema, metadata_location=table.metadata_location)
        # Time travel shows old rows in today's columns, so that one query text fits every moment.
        files = tuple(self._file_ref(current, file) for file in self.data_files(table, snapshot))
        return TableState(
            dataset,
            schema,
            files,
            snapshot.snapshot_id,
            sum(file.rows for file in files),
            sum(file.bytes for file in files),
            datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
            table.metadata_location,
        )

    def _file_ref(self, schema: Schema, file: DataFile) -> DataFileRef:
        return DataFileRef(
            self.objects.key_of(file.file_path),
            file.record_count,
            file.file_size_in_bytes,
            _bounds(schema, file.lower_bounds),
            _bounds(schema, file.upper_bounds),
        )


def table_folder(dataset: str) -> str:
    """The key prefix of a table, without a slash at its end."""
    namespace, name = dataset.split(".", 1)
    return f"tables/{namespace}/{name}"


def contract_schema(contract: DatasetContract) -> tuple[ColumnField, ...]:
    """The columns a table of this contract starts with, numbered as a new table numbers them."""
    columns = [*SYSTEM_COLUMNS, *((column.name, column.duckdb_type) for column in contract.columns)]
    return tuple(ColumnField(name, number, kind) for number, (name, kind) in enumerate(columns, 1))


def schema_fields(schema: Schema) -> tuple[ColumnField, ...]:
    """The columns of an Iceberg schema."""
    from data_hub.engine.evolution import duckdb_type

    return tuple(ColumnField(item.name, item.field_id, duckdb_type(item.field_type)) for item in schema.fields)


def _snapshot_at(table: Table, dataset: str, as_of: datetime | int | None) -> Snapshot | None:
    if as_of is None:
        return table.current_snapshot()
    if isinstance(as_of, int):
        found = table.snapshot_by_id(as_of)
        if found is None:
            raise _unknown(dataset, as_of, _newest_first(table))
        return found
    moment_ms = int(as_of.timestamp() * 1000)
    found = table.snapshot_as_of_timestamp(moment_ms)
    oldest = min((item.sequence_number or 0 for item in table.metadata.snapshots), default=0)
    if found is None and oldest > 1:
        raise _unknown(dataset, as_of, _newest_first(table))
    return found


def _unknown(dataset: str, as_of: datetime | int, there: Sequence[Snapshot]) -> SnapshotUnknown:
    what = f"版本 {as_of}" if isinstance(as_of, int) else f"{as_of} 的快照"
    detail = f"{dataset} 没有{what}，或已过保留期；现有版本见 versions，不指定版本可读当前数据"
    known = [str(item.snapshot_id) for item in there[:SHOWN_VERSIONS]]
    return SnapshotUnknown(detail, dataset=dataset, versions=known)


def _newest_first(table: Table) -> list[Snapshot]:
    return sorted(table.metadata.snapshots, key=lambda item: item.sequence_number or 0, reverse=True)


def _facts(snapshot: Snapshot) -> SnapshotFacts:
    summary = snapshot.summary
    rows = summary.additional_properties.get("total-records", "0") if summary is not None else "0"
    at = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
    return SnapshotFacts(str(snapshot.snapshot_id), snapshot.sequence_number or 0, at, int(rows))


def _bounds(schema: Schema, bounds: dict[int, bytes] | None) -> dict[str, Any]:
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import PrimitiveType

    found = {}
    for field_id, value in (bounds or {}).items():
        item = schema.find_field(field_id) if field_id in schema.field_ids else None
        if item is not None and isinstance(item.field_type, PrimitiveType):
            found[item.name] = from_bytes(item.field_type, value)
    return found
