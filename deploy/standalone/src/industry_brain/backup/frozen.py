"""A home folder at one moment: copies of its databases, links of its objects, the rest as it lies."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from sqlite3 import Connection, connect

from brain_kit.clock import rfc3339, utc_now
from brain_kit.objects.roots import ROOTS_FILE, read_roots, roots_text

from industry_brain.backup.cut import consistent_cut
from industry_brain.backup.databases import copy_database, schema_revision, table_digests
from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.layout import OBJECTS, WORK_FOLDER, Layout, read_layout, walk
from industry_brain.backup.links import LinkedTree
from industry_brain.backup.manifest import Manifest
from industry_brain.backup.warehouse import warehouse_tables
from industry_brain.wiring import SERVICES

HUB = "data_hub.db"
ROOTS = f"{OBJECTS}/{ROOTS_FILE}"


@dataclass(frozen=True)
class FrozenHome:
    """Where the content of each path of the home folder is to be read; `roots` is the text of objects/.roots."""

    manifest: Manifest
    sources: dict[str, Path]
    roots: bytes

    @property
    def content_bytes(self) -> int:
        """Bytes to read."""
        return sum(path.stat().st_size for path in self.sources.values() if path.exists()) + len(self.roots)


@contextmanager
def frozen(home: Path) -> Iterator[FrozenHome]:
    """Freezes a home folder for the block, whether the platform runs or not.

    Raises BackupRefused when it is no home folder, another backup is under way, or the databases stay busy.
    """
    if not home.is_dir() or not (home / HUB).exists():
        raise BackupRefused(f"{home} 不是平台的数据目录：没有 {HUB}")
    work = home / WORK_FOLDER
    with _alone(home):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        try:
            yield _freeze(home, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _freeze(home: Path, work: Path) -> FrozenHome:
    layout = read_layout(home)
    tree = LinkedTree(home / OBJECTS, work / OBJECTS, OBJECTS)
    tree.update()
    manifest = Manifest(version("industry-brain"), rfc3339(utc_now()), str(home), skipped=layout.skipped)
    (work / "databases").mkdir()
    sources: dict[str, Path] = {}
    with consistent_cut([home / path for path in layout.databases], tree.update) as readers:
        for path, reader in zip(layout.databases, readers, strict=True):
            sources[path] = work / "databases" / path.replace("/", "%")
            copy_database(reader, sources[path])
    roots = tuple(dict.fromkeys((*read_roots(home / OBJECTS), str(home.resolve() / OBJECTS))))
    _describe(manifest, sources, work / OBJECTS, roots)
    sources |= _plain_files(home, work, layout)
    return FrozenHome(manifest, sources, roots_text(roots).encode())


def _describe(manifest: Manifest, copies: dict[str, Path], objects: Path, roots: tuple[str, ...]) -> None:
    services = {f"{package}.db": name for name, package in SERVICES.items()}
    with ExitStack() as opened:
        for path, copy in copies.items():
            reader: Connection = opened.enter_context(closing(connect(copy)))
            manifest.databases[path] = table_digests(reader)
            revision = schema_revision(reader)
            if path in services and revision is not None:
                manifest.migrations[services[path]] = revision
            if path == HUB:
                manifest.warehouse, manifest.missing = warehouse_tables(reader, objects, roots)


def _plain_files(home: Path, work: Path, layout: Layout) -> dict[str, Path]:
    linked = {path: work / path for path, _ in walk(work) if path.startswith(f"{OBJECTS}/")} if work.exists() else {}
    linked.pop(ROOTS, None)
    return {path: home / path for path in layout.files} | linked


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / f"{WORK_FOLDER}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackupRefused(f"{home} 正有另一个备份或核对在进行，请等它结束") from error
        yield
