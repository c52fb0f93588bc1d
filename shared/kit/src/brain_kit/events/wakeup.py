"""Tells the consumers of this process at once that an outbox has grown."""

from __future__ import annotations

import threading

import sqlalchemy as sa
from sqlalchemy.orm import Session

_changed = threading.Condition()
_count = 0


def notify() -> None:
    """Wake everybody who waits."""
    global _count
    with _changed:
        _count += 1
        _changed.notify_all()


def on_commit(session: Session) -> None:
    """Wake everybody when this session commits."""
    if "wakeup" not in session.info:
        session.info["wakeup"] = True
        sa.event.listen(session, "after_commit", lambda _session: notify())


def count() -> int:
    """A number that grows with each notification: read it before looking, pass it to `wait` afterwards."""
    return _count


def wait(seen: int, timeout_s: float) -> None:
    """Return at the first notification after `seen` was read, at once when there was one, or after the timeout."""
    with _changed:
        _changed.wait_for(lambda: _count != seen, timeout_s)
