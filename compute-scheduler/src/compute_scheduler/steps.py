"""Named points between two steps of the attempt protocol; nothing happens there unless a fault test says so."""

from __future__ import annotations

from collections.abc import Callable

_action: Callable[[str], None] | None = None


def reached(point: str) -> None:
    """The work has come to a point; whatever dies here must lose nothing and run nothing twice."""
    if _action is not None:
        _action(point)


def on_reach(action: Callable[[str], None] | None) -> None:
    """Sets what happens at the points of this process."""
    global _action
    _action = action
