"""Rate limits and monthly quotas of the caller's plan."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from brain_kit.auth import Principal

from service_portal.domain.plans import DEFAULT_BY_KIND, DEFAULT_PLANS, Plan, TokenBucket
from service_portal.domain.refusals import QuotaUsedUp, TooFast
from service_portal.domain.usage import Meter

KEPT_BUCKETS = 50_000
Headers = list[tuple[bytes, bytes]]


class Limits:
    """Holds buckets by consumer; plans and assignments are replaced as a whole when they change."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._plans: dict[str, Plan] = dict(DEFAULT_PLANS)
        self._assigned: dict[str, str] = {}
        self._buckets: dict[str, TokenBucket] = {}

    def replace(self, plans: dict[str, Plan], assigned: dict[str, str]) -> None:
        """New plans and organisations' assignments; buckets start anew."""
        if (plans, assigned) != (self._plans, self._assigned):
            self._plans, self._assigned, self._buckets = plans, assigned, {}

    def plan_of(self, principal: Principal) -> Plan:
        """The plan assigned to the caller's organisation, else the default of its kind."""
        name = self._assigned.get(principal.org) or principal.plan or DEFAULT_BY_KIND[principal.org_kind]
        return self._plans.get(name) or self._plans["standard"]

    def admit(self, principal: Principal) -> Headers:
        """Headers that tell what remains. Raises TooFast, QuotaUsedUp."""
        plan = self.plan_of(principal)
        self._check_quota(principal, plan)
        if plan.rate_per_s is None:
            return []
        now = time.monotonic()
        bucket = self._buckets.get(principal.subject)
        if bucket is None:
            if len(self._buckets) >= KEPT_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[principal.subject] = TokenBucket(plan.rate_per_s, plan.burst, now)
        wait_s = bucket.take(now)
        if wait_s:
            raise TooFast(
                f"调用过快：方案 {plan.name} 每秒 {plan.rate_per_s:g} 次，请 {wait_s:.1f} 秒后再试",
                retry_after_s=wait_s,
                plan=plan.name,
            )
        return [
            (b"ratelimit-limit", str(plan.burst).encode()),
            (b"ratelimit-remaining", str(bucket.remaining).encode()),
            (b"ratelimit-reset", str(int((plan.burst - bucket.tokens) / plan.rate_per_s) + 1).encode()),
        ]

    def _check_quota(self, principal: Principal, plan: Plan) -> None:
        if plan.monthly_requests is None and plan.monthly_bytes is None:
            return
        now = datetime.now(UTC)
        requests, volume = self._meter.month(principal.org, now.strftime("%Y-%m"))
        over_requests = plan.monthly_requests is not None and requests >= plan.monthly_requests
        over_bytes = plan.monthly_bytes is not None and volume >= plan.monthly_bytes
        if over_requests or over_bytes:
            what = "次数" if over_requests else "流量"
            first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
            raise QuotaUsedUp(
                f"本月{what}已用完（方案 {plan.name}），下月恢复，或请运营方调整方案",
                retry_after_s=(first - now).total_seconds(),
                plan=plan.name,
                requests=requests,
                bytes=volume,
            )
