"""Which snapshots of a table are kept for reading as of a time."""

from __future__ import annotations

from collections.abc import Sequence

HOUR_MS = 3_600_000
# (age up to, one snapshot in each): a table fed every second would else carry thousands of them in its metadata.
STEPS_MS = ((HOUR_MS, 60_000), (48 * HOUR_MS, HOUR_MS), (90 * 24 * HOUR_MS, 24 * HOUR_MS))
NEWEST_KEPT = 20


def snapshots_to_expire(snapshots: Sequence[tuple[int, int]], now_ms: int, newest: int = NEWEST_KEPT) -> list[int]:
    """Ids of snapshots to forget. snapshots: (id, time in ms), oldest first.

    Kept are the newest ones, then the last of each minute for an hour, of each hour for two days, of each day for 90.
    """
    expired = []
    taken: set[tuple[int, int]] = set()
    for place, (snapshot_id, at_ms) in enumerate(reversed(snapshots)):
        if place < newest:
            continue
        step_ms = next((step for age, step in STEPS_MS if now_ms - at_ms <= age), None)
        slot = None if step_ms is None else (step_ms, at_ms // step_ms)
        if slot is None or slot in taken:
            expired.append(snapshot_id)
        else:
            taken.add(slot)
    return expired
