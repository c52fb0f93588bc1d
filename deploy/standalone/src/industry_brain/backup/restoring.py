"""Restoring a backup into a new home folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brain_kit.database.migration import migrations_folder

from industry_brain.backup.archive import ArchiveReader, OnProgress, counting
from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.manifest import Manifest
from industry_brain.backup.taking import refuse_servers, require_space
from industry_brain.wiring import SERVICES


def restore(archive: Path, home: Path, on_progress: OnProgress | None = None) -> Manifest:
    """Unpacks a backup into `home`, which must not exist or be empty; every byte is checked on the way.

    The folder appears when it is whole: an interrupted restoration leaves `<home>.restoring`, which the next one
    removes. Raises BackupRefused for a used folder, a damaged archive, or one of a newer version.
    """
    home = home.resolve()
    refuse_servers()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BackupRefused(f"{home} 已有内容，恢复不会覆盖；请给一个新目录")
    reader = ArchiveReader(archive)
    try:
        check_versions(reader.manifest)
        home.parent.mkdir(parents=True, exist_ok=True)
        require_space(home.parent, reader.manifest.content_bytes)
        with _draft_of(home) as draft:
            try:
                _unpack(reader, draft, on_progress)
            except OSError as error:
                raise BackupRefused(f"恢复没有写完：{error.strerror}；{home} 没有出现") from error
            os.sync()
            draft.rename(home)
            return reader.manifest
    finally:
        reader.close()


def check_versions(manifest: Manifest) -> None:
    """Raises BackupRefused when a service or a schema of the backup is unknown to this software."""
    for name, revision in manifest.migrations.items():
        if name not in SERVICES:
            raise BackupRefused(f"备份来自更新的版本 {manifest.version}：本版本没有服务 {name}；请先升级")
        scripts = (migrations_folder(SERVICES[name]) / "versions").glob("[0-9]*.py")
        if not any(f'"{revision}"' in script.read_text(encoding="utf-8") for script in scripts):
            raise BackupRefused(
                f"备份来自更新的版本 {manifest.version}：{name} 的数据库结构 {revision} 本版本不认识；请先升级"
            )


def _unpack(reader: ArchiveReader, draft: Path, on_progress: OnProgress | None) -> None:
    made = {draft}
    for entry, copy in reader.files(counting(reader.manifest.content_bytes, on_progress)):
        target = draft / entry.path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as out:
            copy(out)
            os.fchmod(out.fileno(), entry.mode)


@contextmanager
def _draft_of(home: Path) -> Iterator[Path]:
    draft = home.with_name(f"{home.name}.restoring")
    lock_path = home.with_name(f"{home.name}.restoring.lock")
    with lock_path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackupRefused(f"正有另一个进程恢复到 {home}") from error
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            lock_path.unlink(missing_ok=True)
