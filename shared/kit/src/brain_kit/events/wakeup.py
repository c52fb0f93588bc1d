"""Tells the consumers of this process at once that an outbox has grown, and whose."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.database import Database

_changed = threading.Condition()
_count = 0
_commits: WeakKeyDictionary[Database, int] = WeakKeyDictionary()


def notify(database: Database | None = None) -> None:
    """Wake everybody who waits. database: the one that has new events."""
    global _count
    with _changed:
        _count += 1
        if database is not None:
            _commits[database] = _commits.get(database, 0) + 1
        _changed.notify_all()


def on_commit(session: Session) -> None:
    """Wake everybody when this session commits."""
    if "wakeup" not in session.info:
        session.info["wakeup"] = True
        sa.event.listen(session, "after_commit", lambda _session: notify(session.info.get("database")))


def count() -> int:
    """A number that grows with each notification: read it before looking, pass it to `wait` afterwards."""
    return _count


def commits(database: Database) -> int:
    """How often a session of this process has committed events to a database: read it before looking there."""
    return _commits.get(database, 0)


def wait(seen: int, timeout_s: float) -> None:
    """Return at the first notification after `seen` was read, at once when there was one, or after the timeout."""
    with _changed:
        _changed.wait_for(lambda: _count != seen, timeout_s)
