"""Prometheus metrics of the requests of one application."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# Any other method is counted as one: a caller must not be able to make new time series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RequestMetrics:
    """Counts and times of requests by method, route and status; a registry a service, so that many fit a process.

    Each request adds to one tally, which costs a fifth of the client library's counters; they are made when asked for.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._lock = threading.Lock()
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self.registry.register(self)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        with self._lock:
            tally = self._tallies.get((method, route, status))
            if tally is None:
                tally = self._tallies.setdefault((method if method in METHODS else "other", route, status), _Tally())
            tally.seconds += seconds
            tally.buckets[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """The metrics for a registry."""
        requests = CounterMetricFamily(
            "brain_http_requests",
            "Requests answered, by route template and status.",
            labels=("service", "method", "route", "status"),
        )
        for (method, route, status), tally in sorted(self._taken().items()):
            requests.add_metric((self._service, method, route, str(status)), tally.requests)
        seconds = HistogramMetricFamily(
            "brain_http_request_seconds",
            "Seconds from the request's head to the end of its answer.",
            labels=("service", "method", "route"),
        )
        for (method, route), tally in self._by_route().items():
            ends = [str(float(end)) for end in BUCKETS] + ["+Inf"]
            counts = list(zip(ends, accumulate(tally.buckets), strict=True))
            seconds.add_metric((self._service, method, route), counts, tally.seconds)
        yield requests
        yield seconds

    def routes(self) -> list[dict[str, Any]]:
        """Every route called since the start: method, route, requests, errors (5xx), refused (4xx), mean_ms, p95_ms.

        p95_ms is the upper end of the bucket with the 95th percentile, None beyond the last one.
        """
        statuses: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for (method, route, status), tally in self._taken().items():
            statuses[method, route][status // 100] += tally.requests
        return [
            {
                "method": method,
                "route": route,
                "requests": tally.requests,
                "errors": statuses[method, route][5],
                "refused": statuses[method, route][4],
                "mean_ms": round(tally.seconds / tally.requests * 1000, 2),
                "p95_ms": _percentile_ms(tally.buckets, 0.95),
            }
            for (method, route), tally in self._by_route().items()
        ]

    def _taken(self) -> dict[tuple[str, str, int], _Tally]:
        with self._lock:
            return {key: _Tally(tally.seconds, list(tally.buckets)) for key, tally in self._tallies.items()}

    def _by_route(self) -> dict[tuple[str, str], _Tally]:
        found: dict[tuple[str, str], _Tally] = {}
        for (method, route, _), tally in sorted(self._taken().items()):
            whole = found.setdefault((method, route), _Tally())
            whole.seconds += tally.seconds
            whole.buckets = [one + other for one, other in zip(whole.buckets, tally.buckets, strict=True)]
        return found


@dataclass(slots=True)
class _Tally:
    """Seconds of requests together, and how many took at most each bound of BUCKETS, the last longer."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.buckets)


def _percentile_ms(buckets: list[int], share: float) -> float | None:
    """The upper end, in ms, of the first bucket up to which the share lies; None when it is the open one."""
    wanted = sum(buckets) * share
    ends = zip(BUCKETS, accumulate(buckets), strict=False)
    return next((round(end * 1000, 1) for end, count in ends if count >= wanted), None)


def exposition(*registries: CollectorRegistry) -> tuple[bytes, str]:
    """The metrics of registries as one Prometheus text, and its content type."""
    return merged(b"".join(generate_latest(registry) for registry in registries)), CONTENT_TYPE_LATEST


def merged(text: bytes) -> bytes:
    """The text with one HELP and one TYPE line a metric, also when several registries have it."""
    seen: set[bytes] = set()
    lines = []
    for line in text.splitlines(keepends=True):
        if line.startswith(b"# "):
            if line in seen:
                continue
            seen.add(line)
        lines.append(line)
    return b"".join(lines)
