"""Prometheus metrics of the ledger."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class LedgerMetrics:
    """Figures of posting in the registry of the service's application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.posted = Counter("brain_compute_ledger_posted", "Accounting records posted.", registry=registry)
        self.waiting = Gauge(
            "brain_compute_ledger_waiting",
            "Accounting records that the last look of the poster left behind.",
            registry=registry,
        )
