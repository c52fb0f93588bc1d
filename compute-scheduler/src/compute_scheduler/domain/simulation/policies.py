"""Policies by name, to be compared."""

from __future__ import annotations

from dataclasses import replace

from compute_scheduler.domain.snapshot import Policy

HOUR_S, DAY_S = 3600.0, 86_400.0
SHORT_FIRST = Policy(priority_s=0.0, fair_share_s=0.0, short_first=5.0, longest_set_back_s=1.5 * DAY_S)
POLICIES: dict[str, Policy] = {
    "default": Policy(),
    "best-fit": Policy(placement="best-fit"),
    "fcfs": Policy(priority_s=0.0, fair_share_s=0.0, backfill=False),
    "easy": Policy(priority_s=0.0, fair_share_s=0.0),
    "fair-share": Policy(priority_s=0.0),
    "short-first": SHORT_FIRST,
    "carbon": replace(SHORT_FIRST, staging_weight=1.0, carbon_s=500.0, wait_weight=10.0, longest_hold_s=4 * HOUR_S),
}
