"""Prometheus metrics of pushes and commits."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class HubMetrics:
    """Counters of the data hub in the registry of its application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pushes = Counter("brain_data_hub_pushes", "Pushes that came into a state.", ("state",), registry=registry)
        self.rows = Counter("brain_data_hub_rows", "Rows of pushes by outcome.", ("outcome",), registry=registry)
        self.commits = Histogram(
            "brain_data_hub_commit_seconds", "Seconds of one commit of a table.", buckets=SECONDS, registry=registry
        )
        self.conflicts = Counter(
            "brain_data_hub_commit_conflicts", "Commits given up because the table had changed.", registry=registry
        )
        self.queue = Gauge(
            "brain_data_hub_queue_pushes",
            "Validated pushes that the last look of the committer found.",
            registry=registry,
        )
