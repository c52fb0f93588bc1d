"""Prometheus metrics of the plan, of the ledger and of transfers."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.resources import MILLI

PLAN_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class PlanMetrics:
    """What the scheduler that plans sees of the network; another one tells nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "brain_compute_plan_seconds", "Time that a plan took.", buckets=PLAN_BUCKETS_S, registry=registry
        )
        self.starts = Counter("brain_compute_starts", "Jobs that were handed to a centre.", registry=registry)
        self.refusals = Counter("brain_compute_refusals", "Waiting jobs that can never start.", registry=registry)
        self._waiting = Gauge("brain_compute_jobs_waiting", "Waiting jobs by reason.", ["reason"], registry=registry)
        self._oldest = Gauge(
            "brain_compute_oldest_wait_seconds", "How long the oldest waiting job has waited.", registry=registry
        )
        self._running = Gauge("brain_compute_jobs_running", "Jobs that hold a node.", ["centre"], registry=registry)
        self._cores = Gauge(
            "brain_compute_cores", "Cores by centre, offered or held.", ["centre", "of"], registry=registry
        )
        self._open = Gauge("brain_compute_centre_open", "1: the centre takes jobs.", ["centre"], registry=registry)

    def clear(self) -> None:
        """Forgets what was seen: another scheduler plans now."""
        for gauge in (self._waiting, self._running, self._cores, self._open):
            gauge.clear()
        self._oldest.set(0)

    def see(self, board: Board, reasons: Mapping[str, tuple[str, str]], now: float) -> None:
        """Takes over what the board shows. reasons: code and words of waiting jobs that have any."""
        self.clear()
        waiting = Tally(reasons[job_id][0] if job_id in reasons else "queued" for job_id in board.queued)
        for reason, number in waiting.items():
            self._waiting.labels(reason).set(number)
        if board.queued:
            self._oldest.set(max(0.0, now - min(job.submitted_at for job in board.queued.values())))
        cores: dict[tuple[str, str], int] = {}
        index = board.index
        for place, node in enumerate(index.nodes):
            if node.state == "up":
                offered, free = node.capacity.milli_cores, index.cores[place]
                for of, number in (("offered", offered), ("held", offered - free)):
                    cores[node.centre, of] = cores.get((node.centre, of), 0) + number
        for (centre, of), number in cores.items():
            self._cores.labels(centre, of).set(number / MILLI)
        running = Tally(job.node.partition("/")[0] for job in board.running.values() if job.node)
        for known in board.centres.values():
            self._open.labels(known.id).set(known.state == "open")
            self._running.labels(known.id).set(running[known.id])


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
