"""How the platform's plan weighs jobs."""

from __future__ import annotations

from compute_scheduler.domain.snapshot import Policy
from compute_scheduler.settings import Settings

MOST_STARTS = 500


def policy_of(settings: Settings) -> Policy:
    """The policy that the settings say, without preemption, which one plan now and then is allowed."""
    return Policy(
        most_starts=MOST_STARTS,
        staging_weight=settings.compute_scheduler_staging_weight,
        price_s=settings.compute_scheduler_price_s,
        carbon_s=settings.compute_scheduler_carbon_s,
        wait_weight=settings.compute_scheduler_wait_weight,
        longest_hold_s=settings.compute_scheduler_longest_hold_s,
    )
