"""The files of a version of a data set, as one caller may have them: what a computing centre copies for its jobs.

Whoever sees every row and column gets the files of the warehouse as they lie. For everybody else one Parquet file is
made of what that caller may see, once a version, and kept for a while in the object store. The manifest is equal at
every call as long as those files lie there, so a copy may break off and go on at the byte where it stopped.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from brain_kit.auth import Principal
from brain_kit.objects import ObjectNotFound, ObjectStore
from brain_kit.problems import NotFound

from data_hub.domain.policy import view_of
from data_hub.domain.versions import snapshot_of
from data_hub.service.query.exports import ExportForm
from data_hub.service.query.running import Gone
from data_hub.service.readable import ReadableTable, ReadableTables, viewer_of
from data_hub.service.rows import Rows, RowsRequest

EXTRACTS = "extracts"
KEPT_DIGESTS = 20_000
CHUNK_BYTES = 1 << 20


class VersionFileUnknown(NotFound):
    """The version has no file of this name for this caller."""

    code, title = "version_file_unknown", "File unknown"


@dataclass(frozen=True)
class _File:
    """key: of the object."""

    name: str
    key: str
    size: int


class VersionFiles:
    """Lists and opens the files of versions."""

    def __init__(self, objects: ObjectStore, tables: ReadableTables, rows: Rows) -> None:
        self._objects = objects
        self._tables = tables
        self._rows = rows
        self._digests: OrderedDict[str, str] = OrderedDict()
        self._guard = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def manifest(self, caller: Principal, dataset: str, version: str, gone: Gone) -> dict[str, Any]:
        """Names, sizes and SHA-256 of the files and of the whole, which is that of the lines `sha256 size name`.

        Raises DatasetUnknown, SnapshotUnknown, VersionInvalid, and what an export raises.
        """
        table, view = self._open(caller, dataset, version)
        if view == "whole":
            files = self._stored(table)
        else:
            files = [self._extract(caller, table, version, view, gone)]
        shown = [{"name": file.name, "bytes": file.size, "sha256": self._digest(file.key)} for file in files]
        lines = "".join(f"{item['sha256']} {item['bytes']} {item['name']}\n" for item in shown)
        return {
            "dataset": dataset,
            "version": version,
            "view": view,
            "bytes": sum(file.size for file in files),
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "files": shown,
        }

    def open(
        self, caller: Principal, dataset: str, version: str, name: str, offset: int, length: int | None
    ) -> tuple[BinaryIO, int]:
        """(stream over the bytes from `offset`, size of the whole file). Raises as `manifest`, VersionFileUnknown."""
        table, view = self._open(caller, dataset, version)
        known = self._stored(table) if view == "whole" else self._made(table, version, view)
        file = next((file for file in known if file.name == name), None)
        if file is None:
            raise VersionFileUnknown(f"版本 {version} 没有文件 {name[:200]}；请重新读取文件清单", dataset=dataset)
        try:
            return self._objects.open(file.key, offset=offset, length=length), file.size
        except ObjectNotFound as error:
            raise VersionFileUnknown(f"版本 {version} 的文件 {name[:200]} 已不存在", dataset=dataset) from error

    def forget_extracts(self, before: datetime) -> int:
        """Removes made files that are older; returns how many."""
        old = [info.key for info in self._objects.list(f"{EXTRACTS}/", limit=100_000) if info.modified_at < before]
        for key in old:
            self._objects.delete(key)
        return len(old)

    def _open(self, caller: Principal, dataset: str, version: str) -> tuple[ReadableTable, str]:
        viewer = viewer_of(caller)
        table = self._tables.open(dataset, viewer, snapshot_of(version))
        return table, view_of(viewer, table.contract.access)

    @staticmethod
    def _stored(table: ReadableTable) -> list[_File]:
        files = [_File(file.key.rsplit("/", 1)[-1], file.key, file.bytes) for file in table.state.files]
        return sorted(files, key=lambda file: file.name)

    def _made(self, table: ReadableTable, version: str, view: str) -> list[_File]:
        key = _extract_key(table.name, version, view)
        info = self._objects.head(key)
        return [] if info is None else [_File(key.rsplit("/", 1)[-1], key, info.size)]

    def _extract(self, caller: Principal, table: ReadableTable, version: str, view: str, gone: Gone) -> _File:
        """The one file of what the caller may see, made when there is none yet."""
        key = _extract_key(table.name, version, view)
        with self._guard:
            lock = self._making.setdefault(key, threading.Lock())
        with lock:
            known = self._made(table, version, view)
            if not known:
                export = self._rows.export(
                    caller, RowsRequest(table.name, version=version), ExportForm("parquet"), gone
                )
                with export.file as file:
                    self._objects.put(key, file)
                known = self._made(table, version, view)
        with self._guard:
            self._making.pop(key, None)
        return known[0]

    def _digest(self, key: str) -> str:
        """SHA-256 of an object, read once where the store does not know it: objects never change."""
        with self._guard:
            known = self._digests.get(key)
        if known is None:
            info = self._objects.head(key)
            known = info.sha256 if info is not None else None
            if known is None:
                digest = hashlib.sha256()
                with self._objects.open(key) as stream:
                    while chunk := stream.read(CHUNK_BYTES):
                        digest.update(chunk)
                known = digest.hexdigest()
            with self._guard:
                self._digests[key] = known
                while len(self._digests) > KEPT_DIGESTS:
                    self._digests.popitem(last=False)
        return known


def _extract_key(dataset: str, version: str, view: str) -> str:
    namespace, name = dataset.split(".", 1)
    return f"{EXTRACTS}/{namespace}/{name}/{version}/{view}.parquet"
