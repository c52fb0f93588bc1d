"""When keys were last used: noted in memory, written together a moment later.

A write of its own in every first look-up of a key would make sixty callers that come at once wait for sixty forced
writes to disk. What a killed process had not written yet is lost: the moment is a hint to find unused keys by.
"""

from __future__ import annotations

import threading
from datetime import datetime

import structlog
from brain_kit.database import Database
from brain_kit.problems import Problem

from identity.store import people

WRITE_AFTER_S = 1.0

log = structlog.get_logger()


class KeyUses:
    """Uses of keys that are on their way to the database."""

    def __init__(self, database: Database, write_after_s: float = WRITE_AFTER_S) -> None:
        self._database = database
        self._write_after_s = write_after_s
        self._used: dict[str, datetime] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def note(self, key_id: str, at: datetime) -> None:
        """Remembers that a key was used. at: timezone-aware."""
        with self._lock:
            self._used[key_id] = at
            if self._timer is None:
                self._timer = threading.Timer(self._write_after_s, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Writes what was noted; while the database is away it stays noted until the next use of a key."""
        with self._lock:
            used, self._used, self._timer = self._used, {}, None
        if not used:
            return
        try:
            with self._database.transaction() as session:
                people.mark_keys_used(session, used)
        except Problem as problem:
            log.warning("key_uses_not_written", code=problem.code)
            with self._lock:
                self._used = used | self._used
