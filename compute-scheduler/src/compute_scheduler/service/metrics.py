"""Prometheus metrics of the ledger and of transfers."""

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


class TransferMetrics:
    """Figures of data on their way to centres."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("brain_compute_transfer_bytes", "Bytes handed out to agents.", registry=registry)
        self.ended = Counter("brain_compute_transfers", "Transfers that ended.", ["state"], registry=registry)
        self.underway = Gauge(
            "brain_compute_transfers_underway", "Transfers on their way.", ["state"], registry=registry
        )
