"""SHA-256 of the objects in a folder, kept beside the key space, and the locks that guard their change.

An overwrite touches two files, data and checksum, which no file system changes in one step. So the entry first
lists the old and the new digest, then the data changes, then the old digest goes: whenever the power fails, the
digest of what lies there is listed, and damage never passes for a change.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_LOCK_STRIPES = 256


def fsync_folder(path: Path) -> None:
    """Make the entries of a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(path: Path) -> None:
    """Create a folder and its parents, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


@contextmanager
def exclusive(lock_file: Path) -> Iterator[None]:
    """Hold a lock among all threads and processes that use the same file; freed when its holder dies."""
    handle = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class ChecksumLedger:
    """The digests a key's data may have: one, or two while it is overwritten, or none when never recorded."""

    def __init__(self, root: Path, temporary: Path) -> None:
        self._sums = root / ".sums"
        self._locks = root / ".locks"
        self._temporary = temporary
        for folder in (self._sums, self._locks):
            make_folders(folder)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Let nobody else change this key meanwhile."""
        stripe = int(self._name(key)[:8], 16) % _LOCK_STRIPES
        with exclusive(self._locks / f"{stripe:02x}"):
            yield

    def read(self, key: str) -> tuple[str, ...]:
        """The digests recorded for the key, oldest first."""
        try:
            return tuple(self._path(key).read_text().split())
        except FileNotFoundError:
            return ()

    def write(self, key: str, digests: tuple[str, ...]) -> None:
        """Record the digests durably; call it with the key locked."""
        path = self._path(key)
        make_folders(path.parent)
        temporary = self._temporary / uuid4().hex
        try:
            with temporary.open("w") as out:
                out.write("\n".join(digests))
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_folder(path.parent)

    def forget(self, key: str) -> None:
        """Drop the record; call it with the key locked."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # Not under the key itself: "a.sum" beside "a.sum/b" would clash where "a" and "a.sum/b" do not.
        name = self._name(key)
        return self._sums / name[:2] / name

    @staticmethod
    def _name(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()
