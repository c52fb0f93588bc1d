"""Comparing a home folder with a backup."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from industry_brain.backup.archive import CHUNK_BYTES, ArchiveReader, OnProgress, counting
from industry_brain.backup.frozen import ROOTS, FrozenHome, frozen
from industry_brain.backup.manifest import Manifest
from industry_brain.backup.taking import refuse_servers


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same. kind: database, warehouse or file; what: its name; in words what differs."""

    kind: str
    what: str
    difference: str


def verify(home: Path, archive: Path, on_progress: OnProgress | None = None) -> tuple[Manifest, list[Difference]]:
    """Checks every byte of a backup, then compares it with a home folder; the platform may run.

    Databases are compared table by table (rows and digest), data sets by snapshot, rows and data files, everything
    else, objects and keys included, by content. Where the folder lies is no difference.
    Raises BackupRefused when the archive is damaged or either cannot be read.
    """
    refuse_servers()
    reader = ArchiveReader(archive)
    try:
        with frozen(home.resolve()) as content:
            total = reader.manifest.content_bytes + content.content_bytes
            count = counting(total, on_progress)
            for _, check in reader.files(count):
                check(None)
            return reader.manifest, list(_differences(reader.manifest, content, count))
    finally:
        reader.close()


def _differences(kept: Manifest, content: FrozenHome, on_bytes: Callable[[int], None]) -> Iterator[Difference]:
    for database in sorted(kept.databases.keys() | content.manifest.databases.keys()):
        yield from _tables(database, kept, content.manifest)
    for dataset in sorted(kept.warehouse.keys() | content.manifest.warehouse.keys()):
        before, now = kept.warehouse.get(dataset), content.manifest.warehouse.get(dataset)
        if before is None or now is None:
            yield Difference("warehouse", dataset, _only(before is None))
        elif before != now:
            yield Difference(
                "warehouse",
                dataset,
                f"备份 {before.rows} 行（快照 {before.snapshot}），目录 {now.rows} 行（快照 {now.snapshot}）",
            )
    for key in content.manifest.missing:
        yield Difference("warehouse", key, "表引用的文件缺失或大小不符")
    yield from _files(kept, content, on_bytes)


def _tables(database: str, kept: Manifest, present: Manifest) -> Iterator[Difference]:
    before, now = kept.databases.get(database), present.databases.get(database)
    if before is None or now is None:
        yield Difference("database", database, _only(before is None))
        return
    for table in sorted(before.keys() | now.keys()):
        old, new = before.get(table), now.get(table)
        if old is None or new is None:
            yield Difference("database", f"{database}/{table}", _only(old is None))
        elif old != new:
            words = "内容不同" if old.rows == new.rows else f"备份 {old.rows} 行，目录 {new.rows} 行"
            yield Difference("database", f"{database}/{table}", words)


def _files(kept: Manifest, content: FrozenHome, on_bytes: Callable[[int], None]) -> Iterator[Difference]:
    # Databases were compared by their rows: two files with the same rows need not have the same bytes.
    before = {path for path in kept.files if path not in kept.databases} - {ROOTS}
    now = {path for path in content.sources if path not in content.manifest.databases}
    for path in sorted(before | now):
        if path not in now or path not in before:
            yield Difference("file", path, _only(path not in before))
            continue
        source = content.sources[path]
        if not source.exists():
            yield Difference("file", path, _only(False))
        elif source.stat().st_mode & 0o777 != kept.files[path].mode:
            yield Difference("file", path, f"权限不同：备份 {kept.files[path].mode:o}")
        elif _sha256(source, on_bytes) != kept.files[path].sha256:
            yield Difference("file", path, "内容不同")


def _only(in_home: bool) -> str:
    return "只在目录中" if in_home else "只在备份中"


def _sha256(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()
