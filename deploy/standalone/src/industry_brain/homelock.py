"""One process per home folder: two platforms on the same SQLite files and table catalogue would fight."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from industry_brain.embedded import HomeInUse


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Holds the home folder. The lock ends with the process, however it ends. Raises HomeInUse."""
    with (home / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise HomeInUse(
                f"目录 {home} 正由进程 {file.read().strip()} 使用 the folder is in use by that process"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
