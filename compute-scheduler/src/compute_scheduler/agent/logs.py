"""Stretches of logs on their way to the service."""

from __future__ import annotations

import base64

from compute_scheduler.agent.held import Json, Shelf
from compute_scheduler.engine.contract import Engine

PART_BYTES = 1 << 18
BYTES_A_REPORT = 1 << 22


def unsent(shelf: Shelf, engine: Engine) -> tuple[list[Json], set[str]]:
    """Stretches of logs that have not been sent, and attempts with more than fits into this report."""
    parts, unsaid, room = [], set(), BYTES_A_REPORT
    for held in shelf.in_stage("running", "ended"):
        if not held.has_output:
            continue
        offset = held.log_sent
        while room > 0:
            data = engine.read_log(held.attempt, offset, PART_BYTES)
            if not data:
                break
            parts.append({"attempt": held.attempt, "offset": offset, "data": base64.b64encode(data).decode()})
            offset += len(data)
            room -= len(data)
        if room <= 0:
            unsaid.add(held.attempt)
        elif held.stage == "running":
            held.has_output = False
    return parts, unsaid
