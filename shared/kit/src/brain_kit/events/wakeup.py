"""Tells the consumers of this process at once that an outbox has grown."""

from __future__ import annotations

import threading

_changed = threading.Condition()
_count = 0


def notify() -> None:
    """Wake everybody who waits."""
    global _count
    with _changed:
        _count += 1
        _changed.notify_all()


def count() -> int:
    """A number that grows with each notification: read it before looking, pass it to `wait` afterwards."""
    return _count


def wait(seen: int, timeout_s: float) -> None:
    """Return at the first notification after `seen` was read, at once when there was one, or after the timeout."""
    with _changed:
        _changed.wait_for(lambda: _count != seen, timeout_s)
