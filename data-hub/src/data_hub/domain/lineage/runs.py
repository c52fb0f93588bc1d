"""How the events of a run become its state, in whatever order and however often they come."""

from __future__ import annotations

from datetime import datetime

# A run only goes forward; of two events that end it the later one counts, then the name, so that order never matters.
RANK = {"OTHER": 0, "START": 1, "RUNNING": 2, "ABORT": 3, "COMPLETE": 3, "FAIL": 3}
FINAL = frozenset({"ABORT", "COMPLETE", "FAIL"})


def replaces(new: str, new_at: datetime, old: str, old_at: datetime) -> bool:
    """Whether an event gives a run its state, knowing the one that gave it so far."""
    return (RANK[new], new_at, new) > (RANK[old], old_at, old)
