"""Slows down guessing at the sign-in page; the gateway does the same for its own sign-in route."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from brain_kit.problems import RateLimited

from service_portal.domain.plans import TokenBucket

PER_S = 0.2
ADDRESS_BURST = 10
# Higher than for an address, so that one stranger cannot keep a person from signing in.
USER_BURST = 30
MOST_KEPT = 10_000


class SignInBrake:
    """Lets ADDRESS_BURST failures through per address and USER_BURST per user name, then one in five seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = threading.Lock()

    def check(self, address: str, user: str) -> None:
        """Count an attempt. Raises RateLimited with the seconds to wait; who waits is not told which of both it was."""
        now = self._clock()
        with self._lock:
            if len(self._buckets) >= MOST_KEPT:
                self._buckets.clear()
            waits = [
                self._buckets.setdefault(key, TokenBucket(PER_S, burst, now)).take(now)
                for key, burst in ((_address(address), ADDRESS_BURST), (_user(user), USER_BURST))
            ]
        wait_s = max(waits)
        if wait_s:
            raise RateLimited("登录尝试过于频繁，请稍后再试。", retry_after_s=round(wait_s) or 1)

    def forgive(self, address: str, user: str) -> None:
        """Take back the count of a sign-in that worked, and forget the failures of its user name."""
        with self._lock:
            self._buckets.pop(_user(user), None)
            bucket = self._buckets.get(_address(address))
            if bucket is not None:
                bucket.tokens = min(bucket.burst, bucket.tokens + 1)


def _address(address: str) -> tuple[str, str]:
    return ("address", address)


def _user(user: str) -> tuple[str, str]:
    return ("user", user.casefold())
