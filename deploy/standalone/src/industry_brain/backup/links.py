"""A frozen copy of a tree of objects that costs no space: every file linked a second time.

Objects are written whole under a new name and removed by name, so a link keeps what was there, whatever the platform
removes meanwhile. Most links are made before the cut, while writers go on; inside the cut only the folders that
changed since are looked at again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.layout import SCRATCH_FOLDERS

# Times of folders move in ticks of some milliseconds: a folder that has just changed may change again unseen.
SETTLED_NS = 200_000_000
UNSETTLED = -1


class LinkedTree:
    """Links of the files below `source` in `target`, both on one file system. `prefix`: the path of source in home."""

    def __init__(self, source: Path, target: Path, prefix: str) -> None:
        self._source = source
        self._target = target
        self._prefix = prefix
        # Folder below the source -> (change time when it was read, names of files linked from it, folders in it).
        self._seen: dict[str, tuple[int, set[str], list[str]]] = {}

    def update(self) -> None:
        """Links what is new and drops what is gone since the last call. Raises BackupRefused without hard links."""
        if self._source.is_dir():
            self._update("")

    def _update(self, folder: str) -> None:
        if f"{self._prefix}/{folder}" in SCRATCH_FOLDERS:
            return
        try:
            changed_ns = (self._source / folder).stat().st_mtime_ns
            if folder not in self._seen or self._seen[folder][0] != changed_ns:
                self._read(folder, changed_ns)
        except FileNotFoundError:
            self._forget(folder)
            return
        for name in list(self._seen[folder][2]):
            self._update(f"{folder}/{name}" if folder else name)

    def _read(self, folder: str, changed_ns: int) -> None:
        target = self._target / folder
        target.mkdir(parents=True, exist_ok=True)
        linked = self._seen[folder][1] if folder in self._seen else set()
        found: dict[str, os.DirEntry[str]] = {}
        folders: list[str] = []
        with os.scandir(self._source / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry
        for name in linked - found.keys():
            (target / name).unlink()
        linked = {name for name, entry in found.items() if self._link(entry, target / name, is_known=name in linked)}
        for gone in set(self._seen[folder][2]) - set(folders) if folder in self._seen else ():
            self._forget(f"{folder}/{gone}" if folder else gone)
        settled = time.time_ns() - changed_ns > SETTLED_NS
        self._seen[folder] = (changed_ns if settled else UNSETTLED, linked, folders)

    def _link(self, entry: os.DirEntry[str], target: Path, *, is_known: bool) -> bool:
        """Whether the file is linked: one that was removed since the folder was read is not."""
        try:
            if is_known:
                if target.stat().st_ino == entry.inode():
                    return True
                target.unlink()
            os.link(entry.path, target, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise BackupRefused(f"文件系统不支持硬链接，无法在运行中备份 {entry.path}: {error.strerror}") from error
        except OSError as error:
            raise BackupRefused(f"无法为备份固定 {entry.path}: {error.strerror}") from error
        return True

    def _forget(self, folder: str) -> None:
        if folder in self._seen:
            _, linked, folders = self._seen.pop(folder)
            for name in linked:
                (self._target / folder / name).unlink(missing_ok=True)
            for name in folders:
                self._forget(f"{folder}/{name}" if folder else name)
