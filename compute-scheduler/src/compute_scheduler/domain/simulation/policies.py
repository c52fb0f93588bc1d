"""Policies by name, to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
# What of a policy is chosen by numbers, beside the name that it starts from.
WEIGHTS = (
    "priority_s", "fair_share_s", "short_first", "longest_set_back_s", "staging_weight", "price_s", "carbon_s",
    "wait_weight", "longest_hold_s",
)  # fmt: skip


def policy_with(name: str, values: Mapping[str, float]) -> Policy:
    """A policy by name with some of its weights changed; other values are left aside. Raises KeyError."""
    changed: dict[str, Any] = {weight: float(values[weight]) for weight in WEIGHTS if weight in values}
    return replace(POLICIES[name], **changed)


def weights_of(policy: Policy) -> dict[str, float]:
    """The weights of a policy by name."""
    return {weight: getattr(policy, weight) for weight in WEIGHTS}
