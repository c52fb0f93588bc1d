"""Tells the consumers of this process at once that an outbox has grown, and whose; others sleep on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.database import Database

_guard = threading.Lock()
_count = 0
_commits: WeakKeyDictionary[Database, Counter[str]] = WeakKeyDictionary()
_no_commits: Counter[str] = Counter()
# Notifications by topic; those that name none, and so are for everybody, under "".
_told: Counter[str] = Counter()


@dataclass(eq=False)
class _Sleeper:
    """Somebody who waits: for the commits of a database, for some topics, or for anything."""

    database: Database | None = None
    topics: frozenset[str] | None = None
    bell: threading.Lock = field(default_factory=threading.Lock)

    def hears(self, database: Database | None, topics: frozenset[str]) -> bool:
        """Whether this is what it waits for."""
        if self.database is not None:
            return database is self.database
        return self.topics is None or not topics or not self.topics.isdisjoint(topics)


_sleepers: set[_Sleeper] = set()


def notify(database: Database | None = None, topics: Iterable[str] = ()) -> None:
    """Wake those who wait. database: the one that has new events, of these topics; without any, everybody wakes."""
    global _count
    names = frozenset(topics)
    with _guard:
        _count += 1
        _told.update(names or ("",))
        if database is not None:
            _commits.setdefault(database, Counter()).update({"", *names})
        woken = [sleeper for sleeper in _sleepers if sleeper.hears(database, names)]
        _sleepers.difference_update(woken)
    for sleeper in woken:
        sleeper.bell.release()


def on_commit(session: Session, topics: Iterable[str] = ()) -> None:
    """Notify when this session commits. topics: of the events that it wrote."""
    if "wakeup" not in session.info:
        session.info["wakeup"] = set()
        sa.event.listen(session, "after_commit", _committed)
    session.info["wakeup"].update(topics)


def _committed(session: Session) -> None:
    notify(session.info.get("database"), session.info["wakeup"])


def count() -> int:
    """A number that grows with each notification: read it before looking, pass it to `wait` afterwards."""
    return _count


def told(topics: Iterable[str]) -> int:
    """A number that grows with each notification of these topics: read it before looking, pass it to `wait_for`."""
    return _told[""] + sum(_told[topic] for topic in topics)


def commits(database: Database, topics: Iterable[str] = ("",)) -> int:
    """How often this process has committed events of the topics, by default of any, to a database.

    Read it before looking there: while it stands still there is nothing new of this process.
    """
    known = _commits.get(database, _no_commits)
    return sum(known[topic] for topic in topics)


def wait(seen: int, timeout_s: float) -> None:
    """Return at the first notification after `seen` was read, at once when there was one, or after the timeout."""
    _sleep(_Sleeper(), lambda: _count != seen, timeout_s)


def wait_for(topics: Iterable[str], seen: int, timeout_s: float) -> None:
    """Like `wait` for notifications of some topics; `seen` was read from `told(topics)`."""
    wanted = frozenset(topics)
    _sleep(_Sleeper(topics=wanted), lambda: told(wanted) != seen, timeout_s)


def wait_for_commit(database: Database, seen: int, timeout_s: float) -> None:
    """Like `wait` for the commits of one database; `seen` was read from `commits(database)`."""
    _sleep(_Sleeper(database), lambda: commits(database) != seen, timeout_s)


def _sleep(sleeper: _Sleeper, has_come: Callable[[], bool], timeout_s: float) -> None:
    sleeper.bell.acquire()
    with _guard:
        if has_come():
            return
        _sleepers.add(sleeper)
    sleeper.bell.acquire(timeout=max(timeout_s, 0.0))
    with _guard:
        _sleepers.discard(sleeper)
