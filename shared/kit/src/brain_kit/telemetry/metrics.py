"""Prometheus metrics of the requests of one application."""

from __future__ import annotations

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
