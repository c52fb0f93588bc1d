"""A bounded folder of local copies of remote objects, shared by the threads and processes of one machine."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from uuid import uuid4

from brain_kit.objects.errors import folder_errors
from brain_kit.objects.ledger import exclusive, make_folders

_LOCK_STRIPES = 1024
_STALE_TEMPORARY_S = 24 * 3600


class LocalCopies:
    """Least recently used copies are removed once their sum passes `capacity_bytes`.

    A copy used in the last `grace_s` seconds stays, even above the capacity: its path may have been handed out
    and not been opened yet. The files themselves are the state, so nothing can disagree after a crash.
    """

    def __init__(self, folder: Path, *, capacity_bytes: int, grace_s: float = 300) -> None:
        self.folder = folder.resolve()
        self._capacity_bytes = capacity_bytes
        self._grace_s = grace_s
        self._files = self.folder / "files"
        self._locks = self.folder / "locks"
        self._temporary = self.folder / "tmp"
        with folder_errors(self.folder):
            for path in (self._files, self._locks, self._temporary):
                make_folders(path)
            self._sweep()

    def path(self, key: str, fetch: Callable[[BinaryIO], None]) -> Path:
        """The copy of `key`, made by `fetch` when there is none; it fills a file and raises when it cannot.

        A copy appears complete or not at all. Several callers at once fetch it once.
        """
        target = self._target(key)
        if self._touch(target):
            return target
        with folder_errors(self.folder, key):
            lock = self._locks / f"{int(target.parent.name + target.name[:2], 16) % _LOCK_STRIPES:03x}"
            with exclusive(lock):
                if not self._touch(target):
                    self._make(target, fetch)
            self._evict()
        return target

    def drop(self, key: str) -> None:
        """Forget the copy of a key that was written or deleted."""
        with folder_errors(self.folder, key):
            self._target(key).unlink(missing_ok=True)

    def temporary(self) -> Path:
        """A new path for a temporary file on the same disk; the caller removes it."""
        return self._temporary / uuid4().hex

    def size_bytes(self) -> int:
        """Sum of the copies."""
        return sum(status.st_size for _, status in self._entries())

    def _make(self, target: Path, fetch: Callable[[BinaryIO], None]) -> None:
        temporary = self.temporary()
        try:
            with temporary.open("xb") as out:
                fetch(cast(BinaryIO, out))
                out.flush()
                # Without it a power cut could leave a torn file under the final name, and nobody checks it again.
                os.fsync(out.fileno())
            target.parent.mkdir(exist_ok=True)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _touch(self, target: Path) -> bool:
        try:
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    def _evict(self) -> None:
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime_ns)
        excess = sum(status.st_size for _, status in entries) - self._capacity_bytes
        spared = time.time() - self._grace_s
        for path, status in entries:
            if excess <= 0 or status.st_mtime > spared:
                return
            path.unlink(missing_ok=True)
            excess -= status.st_size

    def _entries(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self._files.glob("*/*"):
            with suppress(FileNotFoundError):
                found.append((path, path.stat()))
        return found

    def _target(self, key: str) -> Path:
        # DuckDB and people tell a format by its suffix, so it stays.
        name = hashlib.sha256(key.encode()).hexdigest()
        suffix = PurePosixPath(key).suffix
        return self._files / name[:2] / f"{name[2:]}{suffix if suffix.isascii() and len(suffix) <= 16 else ''}"

    def _sweep(self) -> None:
        for entry in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _STALE_TEMPORARY_S:
                    entry.unlink()
