"""Tells the consumers of this process at once that an outbox has grown, and whose."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.database import Database

_changed = threading.Condition()
_count = 0
_commits: WeakKeyDictionary[Database, Counter[str]] = WeakKeyDictionary()
_no_commits: Counter[str] = Counter()


def notify(database: Database | None = None, topics: Iterable[str] = ()) -> None:
    """Wake everybody who waits. database: the one that has new events, of these topics."""
    global _count
    with _changed:
        _count += 1
        if database is not None:
            _commits.setdefault(database, Counter()).update({"", *topics})
        _changed.notify_all()


def on_commit(session: Session, topics: Iterable[str] = ()) -> None:
    """Wake everybody when this session commits. topics: of the events that it wrote."""
    if "wakeup" not in session.info:
        session.info["wakeup"] = set()
        sa.event.listen(session, "after_commit", _committed)
    session.info["wakeup"].update(topics)


def _committed(session: Session) -> None:
    notify(session.info.get("database"), session.info["wakeup"])


def count() -> int:
    """A number that grows with each notification: read it before looking, pass it to `wait` afterwards."""
    return _count


def commits(database: Database, topics: Iterable[str] = ("",)) -> int:
    """How often this process has committed events of the topics, by default of any, to a database.

    Read it before looking there: while it stands still there is nothing new of this process.
    """
    known = _commits.get(database, _no_commits)
    return sum(known[topic] for topic in topics)


def wait(seen: int, timeout_s: float) -> None:
    """Return at the first notification after `seen` was read, at once when there was one, or after the timeout."""
    with _changed:
        _changed.wait_for(lambda: _count != seen, timeout_s)


def wait_for_commit(database: Database, seen: int, timeout_s: float) -> None:
    """Like `wait` for the commits of one database; `seen` was read from `commits(database)`."""
    with _changed:
        _changed.wait_for(lambda: commits(database) != seen, timeout_s)


def gather(last: float, pause_s: float) -> None:
    """Let what comes under load gather: return no sooner than `pause_s` after `last` (of `time.monotonic()`)."""
    early_s = last + pause_s - time.monotonic()
    if early_s > 0:
        time.sleep(early_s)
