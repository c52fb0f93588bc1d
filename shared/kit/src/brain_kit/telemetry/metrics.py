"""Prometheus metrics of the requests of one application."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# Any other method is counted as one: a caller must not be able to make new time series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RequestMetrics:
    """Counts and times of requests by method, route and status; a registry a service, so that many fit a process."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "brain_http_requests",
            "Requests answered, by route template and status.",
            ("service", "method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "brain_http_request_seconds",
            "Seconds from the request's head to the end of its answer.",
            ("service", "method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._service = service
        # Looking children up by labels costs more than counting; routes and statuses are few.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._children(method if method in METHODS else "other", route, status)
            if method in METHODS:
                self._known[method, route, status] = known
        known[0].inc()
        known[1].observe(seconds)

    def _children(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        counter = self._requests.labels(self._service, method, route, str(status))
        return counter, self._seconds.labels(self._service, method, route)

    def routes(self) -> list[dict[str, Any]]:
        """Every route called since the start: method, route, requests, errors (5xx), refused (4xx), mean_ms, p95_ms.

        p95_ms is the upper end of the bucket with the 95th percentile, None beyond the last one.
        """
        statuses: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for sample in _samples(self._requests, "brain_http_requests_total"):
            key = (sample.labels["method"], sample.labels["route"])
            statuses[key][sample.labels["status"][0]] += int(sample.value)
        buckets: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        sums: dict[tuple[str, str], float] = {}
        for sample in _samples(self._seconds):
            key = (sample.labels["method"], sample.labels["route"])
            if sample.name.endswith("_bucket"):
                buckets[key].append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_sum"):
                sums[key] = sample.value
        return [
            {
                "method": method,
                "route": route,
                "requests": (total := sum(found.values())),
                "errors": found.get("5", 0),
                "refused": found.get("4", 0),
                "mean_ms": round(sums.get((method, route), 0.0) / total * 1000, 2) if total else None,
                "p95_ms": _percentile_ms(buckets[(method, route)], 0.95),
            }
            for (method, route), found in sorted(statuses.items())
        ]


def _samples(metric: Counter | Histogram, name: str | None = None) -> list[Any]:
    return [sample for family in metric.collect() for sample in family.samples if name in (None, sample.name)]


def _percentile_ms(buckets: list[tuple[float, float]], share: float) -> float | None:
    """The upper end, in ms, of the first cumulative bucket that holds the share; None when it is the open one."""
    ordered = sorted(buckets)
    if not ordered or not ordered[-1][1]:
        return None
    wanted = ordered[-1][1] * share
    end_s = next(end for end, count in ordered if count >= wanted)
    return None if end_s == float("inf") else round(end_s * 1000, 1)


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
