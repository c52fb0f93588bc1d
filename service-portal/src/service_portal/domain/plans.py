"""Plans: how fast and how much a consumer may call."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Limits of one plan; None means no limit. Rates are per consumer, quotas per organisation and month."""

    name: str
    rate_per_s: float | None
    burst: int
    monthly_requests: int | None
    monthly_bytes: int | None


DEFAULT_PLANS = {
    "free": Plan("free", 10, 20, 100_000, 10 << 30),
    "standard": Plan("standard", 500, 1000, 20_000_000, 2 << 40),
    "unlimited": Plan("unlimited", None, 0, None, None),
}
DEFAULT_BY_KIND = {
    "operator": "unlimited",
    "department": "standard",
    "enterprise": "standard",
    "provider": "standard",
}


class TokenBucket:
    """`rate` tokens a second up to `burst`; one request takes one."""

    __slots__ = ("burst", "rate", "tokens", "updated")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = float(burst)
        self.updated = now

    def take(self, now: float) -> float:
        """Takes a token; returns 0, or the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate

    @property
    def remaining(self) -> int:
        """Whole requests that may come at once."""
        return math.floor(self.tokens)
