"""One moment of all databases and all objects, taken while the platform runs.

The positions of consumers lie in one database and the events in another: copies of two moments could put a position
behind events that the other copy does not have, and those events would be lost. So for some milliseconds nobody
writes: every database is locked for writing, a reading transaction is opened on each, the objects' last changes are
linked, and the locks go. What the readers see is then copied at leisure, while writers go on.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from industry_brain.backup.errors import BackupRefused

# A transaction that calls another service holds one lock and waits for another: give way and try again.
LOCK_WAIT_S = 1.0
PATIENCE_S = 60.0
PAUSE_S = 0.05


@contextmanager
def consistent_cut(databases: Sequence[Path], while_locked: Callable[[], None]) -> Iterator[list[sqlite3.Connection]]:
    """Connections in open reading transactions that all see the same moment, in the order of `databases`.

    while_locked runs at that moment. Raises BackupRefused when the databases stay busy for a minute.
    """
    deadline = time.monotonic() + PATIENCE_S
    with ExitStack() as readers:
        while True:
            try:
                found = _readers(databases, while_locked, readers)
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise BackupRefused(f"数据库无法读取：{error}") from error
                if time.monotonic() > deadline:
                    raise BackupRefused("数据库一直在写入，一分钟内没有轮到备份；请稍后再试") from error
                time.sleep(PAUSE_S)
        yield found


def _readers(
    databases: Sequence[Path], while_locked: Callable[[], None], readers: ExitStack
) -> list[sqlite3.Connection]:
    with ExitStack() as locks:
        for path in databases:
            writer = locks.enter_context(closing(_connect(path)))
            writer.execute("BEGIN IMMEDIATE")
        found = []
        for path in databases:
            reader = readers.enter_context(closing(_connect(path)))
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            found.append(reader)
        while_locked()
        return found


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=LOCK_WAIT_S)
