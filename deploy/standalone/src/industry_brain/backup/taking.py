"""Taking a backup."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from industry_brain.backup.archive import ArchiveWriter, OnProgress, counting
from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.frozen import ROOTS, FrozenHome, frozen
from industry_brain.backup.manifest import Manifest

SPARE_BYTES = 64 << 20


def back_up(home: Path, target: Path, on_progress: OnProgress | None = None) -> Manifest:
    """Writes everything in a home folder to one file, as it is at one moment; the platform may run meanwhile.

    on_progress(done, total) counts bytes. The file holds keys and passwords' hashes: it is readable by its owner only.
    Raises BackupRefused; the target then does not exist.
    """
    target = target.resolve()
    refuse_servers()
    if target.exists():
        raise BackupRefused(f"{target} 已存在，备份不会覆盖；请换一个文件名")
    if target.is_relative_to(home.resolve()):
        raise BackupRefused(f"{target} 在数据目录里，备份会包含自己；请写到别处")
    if not target.parent.is_dir():
        raise BackupRefused(f"没有目录 {target.parent}")
    with frozen(home.resolve()) as content:
        total = content.content_bytes
        require_space(target.parent, total)
        _write(content, target, total, on_progress)
        return content.manifest


def require_space(folder: Path, needed: int) -> None:
    """Raises BackupRefused when the disk under `folder` has no room for `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise BackupRefused(
            f"{folder} 所在磁盘只剩 {free / 1e9:.2f} GB，需要 {(needed + SPARE_BYTES) / 1e9:.2f} GB；"
            "请腾出空间或换一个位置"
        )


def refuse_servers() -> None:
    """Raises BackupRefused where the data lie on servers, which have backups of their own."""
    for name in ("BRAIN_DATABASE_URL", "BRAIN_OBJECTS_URL"):
        if os.environ.get(name):
            raise BackupRefused(
                f"设置了 {name}：数据不在数据目录里，而在服务器上；集群的备份见 docs/runbooks/backup.md"
            )


def _write(content: FrozenHome, target: Path, total: int, on_progress: OnProgress | None) -> None:
    manifest = content.manifest
    header = {"version": manifest.version, "made_at": manifest.made_at, "source_home": manifest.source_home}
    try:
        writer = ArchiveWriter(target, header, counting(total, on_progress))
    except OSError as error:
        raise BackupRefused(f"无法写入 {target}：{error.strerror}") from error
    try:
        manifest.files[ROOTS] = writer.add_bytes(ROOTS, content.roots)
        for path, source in content.sources.items():
            entry = writer.add(path, source)
            if entry is not None:
                manifest.files[path] = entry
        writer.finish(manifest)
    except OSError as error:
        writer.abandon()
        raise BackupRefused(f"备份没有写完：{error.strerror}；没有留下半个文件") from error
    except BaseException:
        writer.abandon()
        raise
