"""What in a home folder belongs to a backup, and what is scratch that every start makes anew."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

OBJECTS = "objects"
WORK_FOLDER = ".backup"
# Spools, query sandboxes, local copies of objects, locks: worthless without the process that made them.
SCRATCH_FOLDERS = frozenset(
    {
        "spool",
        "data-hub/sandbox",
        "data-hub/results",
        "algorithm-dev/boxes",
        "algorithm-dev/spool",
        "object-cache",
        "objects/.tmp",
        "objects/.locks",
        WORK_FOLDER,
    }
)
SCRATCH_ENDINGS = (".lock", "-wal", "-shm", "-journal", ".part")
SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass
class Layout:
    """Paths below a home folder: databases, objects (which never change) and all other files."""

    home: Path
    databases: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def read_layout(home: Path) -> Layout:
    """What lies in a home folder beside its objects."""
    layout = Layout(home)
    for path, entry in walk(home):
        if path.startswith(f"{OBJECTS}/") or path.endswith(SCRATCH_ENDINGS):
            continue
        if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            layout.skipped.append(path)
        elif path.endswith(".db") and _is_database(home / path):
            layout.databases.append(path)
        else:
            layout.files.append(path)
    layout.databases.sort()
    layout.files.sort()
    return layout


def walk(home: Path, start: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry below `home/start` that is no folder and not in a scratch folder, with its path below `home`."""
    with os.scandir(home / start) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            path = f"{start}/{entry.name}" if start else entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry
            elif path not in SCRATCH_FOLDERS:
                yield from walk(home, path)


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False
