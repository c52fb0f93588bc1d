"""Locks: one writer per SQLite file in a process, and one holder per name and database among all processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

_registry_lock = threading.Lock()


class WriterLock:
    """Orders the writers of one SQLite file inside this process: they queue instead of polling the file.

    First come, first served: whoever writes again and again lets everybody who waits write in between.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_held = False
        self._owner: int | None = None

    def acquire(self, timeout_s: float) -> bool:
        """Take the lock; False after the timeout. Raises RuntimeError when this thread holds it already."""
        if self._owner == threading.get_ident():
            raise RuntimeError("a transaction is open in this thread: pass its session on instead of opening another")
        turn = threading.Lock()
        with self._guard:
            if self._is_held:
                turn.acquire()
                self._waiting.append(turn)
            self._is_held = True
        if not turn.acquire(timeout=timeout_s) and not self._has_come(turn):
            return False
        self._owner = threading.get_ident()
        return True

    def release(self) -> None:
        """Give the lock to the one who has waited longest."""
        self._owner = None
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False

    def _has_come(self, turn: threading.Lock) -> bool:
        """Whether the lock was handed over after all, in the moment in which the waiting ended; else it is given up."""
        with self._guard:
            if turn not in self._waiting:
                return True
            self._waiting.remove(turn)
            return False


_writers: dict[Path, WriterLock] = {}


def writer_lock(path: Path) -> WriterLock:
    """The lock of this file, the same one for every Database object of the process."""
    with _registry_lock:
        return _writers.setdefault(path.resolve(), WriterLock())


def advisory_key(name: str) -> int:
    """The 63-bit number under which PostgreSQL knows the lock of this name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


@contextmanager
def file_lock(path: Path, timeout_s: float) -> Iterator[bool]:
    """Hold the lock file among processes and threads; yields False when it was not free within the timeout.

    The file stays: removing it would let two holders lock different files of the same name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _poll_until(lambda: _try_flock(descriptor), timeout_s)
    finally:
        os.close(descriptor)


@contextmanager
def advisory_lock(connection: sa.Connection, name: str, timeout_s: float) -> Iterator[bool]:
    """Hold PostgreSQL's session lock of this name on the connection; yields False when it was not free in time."""
    key = advisory_key(name)

    def attempt() -> bool:
        held = bool(connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
        connection.commit()
        return held

    held = _poll_until(attempt, timeout_s)
    try:
        yield held
    finally:
        # A lost connection has lost the lock with it, and a broken one cannot be asked.
        if held and not connection.closed and not connection.invalidated:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.commit()


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _poll_until(attempt: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not attempt():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
