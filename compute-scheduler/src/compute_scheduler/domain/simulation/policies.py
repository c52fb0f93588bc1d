"""Policies by name, to be compared."""

from __future__ import annotations

from compute_scheduler.domain.snapshot import Policy

DAY_S = 86_400.0
POLICIES: dict[str, Policy] = {
    "default": Policy(),
    "fcfs": Policy(priority_s=0.0, fair_share_s=0.0, backfill=False),
    "easy": Policy(priority_s=0.0, fair_share_s=0.0),
    "fair-share": Policy(priority_s=0.0),
    "short-first": Policy(priority_s=0.0, fair_share_s=0.0, short_first=5.0, longest_set_back_s=1.5 * DAY_S),
}
