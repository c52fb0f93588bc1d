"""States of a reservation or maintenance window, and what may follow on which."""

from __future__ import annotations

from datetime import datetime

STATES: dict[str, tuple[str, ...]] = {
    "planned": ("open", "over", "cancelled"),
    "open": ("over", "cancelled"),
    "over": (),
    "cancelled": (),
}
LIVE = tuple(state for state, following in STATES.items() if following)


def next_state(state: str, start_at: datetime, end_at: datetime, now: datetime) -> str:
    """The state that the clock asks for. What is open stays so until its end, also when the clock steps back.

    A window that nobody opened in time, as while no scheduler ran, goes from planned to over.
    """
    if state not in LIVE:
        return state
    if now >= end_at:
        return "over"
    return "open" if now >= start_at else state
