"""The tables of a frozen warehouse: their rows, their files, and whether every file that they name is there."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brain_kit.objects.roots import key_under

from industry_brain.backup.manifest import WarehouseTable

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata


def warehouse_tables(
    hub: sqlite3.Connection, objects: Path, roots: Sequence[str]
) -> tuple[dict[str, WarehouseTable], list[str]]:
    """Every table of the Iceberg catalogue in `hub`, and the keys that any snapshot names but `objects` lacks.

    roots: paths that the folder of objects had when the tables' files were written.
    """
    if not hub.execute("SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'").fetchone():
        return {}, []
    rows = hub.execute(
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables ORDER BY table_namespace, table_name"
    ).fetchall()
    if not rows:
        return {}, []
    inventory = _Inventory(objects, roots)
    tables = {f"{namespace}.{name}": inventory.table(location) for namespace, name, location in rows}
    return {name: table for name, table in tables.items() if table is not None}, sorted(inventory.missing)


class _Inventory:
    def __init__(self, objects: Path, roots: Sequence[str]) -> None:
        self._objects = objects
        self._roots = roots
        self._io = _mapped_files(objects, roots)
        self._manifests: dict[str, list[DataFile]] = {}
        self.missing: set[str] = set()

    def table(self, location: str) -> WarehouseTable | None:
        from pyiceberg.serializers import FromInputFile

        if not self._is_there(location):
            return None
        metadata = FromInputFile.table_metadata(self._io.new_input(location))
        for snapshot in metadata.snapshots:
            for file in self._data_files(metadata, snapshot.snapshot_id):
                self._is_there(file.file_path, file.file_size_in_bytes)
        current = metadata.current_snapshot()
        files = [] if current is None else self._data_files(metadata, current.snapshot_id)
        listed = sorted((self._key(file.file_path), file.record_count, file.file_size_in_bytes) for file in files)
        return WarehouseTable(
            snapshot="" if current is None else str(current.snapshot_id),
            rows=sum(file.record_count for file in files),
            bytes=sum(file.file_size_in_bytes for file in files),
            files=len(files),
            sha256=hashlib.sha256(repr(listed).encode()).hexdigest(),
        )

    def _data_files(self, metadata: TableMetadata, snapshot_id: int) -> list[DataFile]:
        snapshot = metadata.snapshot_by_id(snapshot_id)
        if snapshot is None or not self._is_there(snapshot.manifest_list):
            return []
        found: list[DataFile] = []
        for manifest in snapshot.manifests(self._io):
            path = manifest.manifest_path
            if path not in self._manifests:
                entries = manifest.fetch_manifest_entry(self._io, discard_deleted=True) if self._is_there(path) else ()
                self._manifests[path] = [entry.data_file for entry in entries]
            found += self._manifests[path]
        return found

    def _is_there(self, location: str, size: int | None = None) -> bool:
        key = self._key(location)
        path = self._objects / key
        if path.is_file() and size in (None, path.stat().st_size):
            return True
        self.missing.add(key)
        return False

    def _key(self, location: str) -> str:
        return key_under(location, self._roots) or location


def _mapped_files(objects: Path, roots: Iterable[str]) -> FileIO:
    from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

    class MappedFiles(PyArrowFileIO):
        """Reads the files of a table where its folder lies now."""

        def new_input(self, location: str) -> PyArrowFile:
            key = key_under(location, roots)
            return super().new_input(location if key is None else f"file://{objects}/{key}")

    return MappedFiles()
