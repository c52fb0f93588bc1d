"""Workers of evaluation."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import Consumer
from brain_kit.service import Platform, Worker

from evaluation.consumers import HANDLERS
from evaluation.service.evidence import EvidenceFiles

GROUP = "evaluation"
SWEEP_EVERY = timedelta(hours=6)
POLL_S = 60.0


def consumer(platform: Platform, database: Database) -> Worker:
    """Handles the events of other services."""
    return Worker("consumer", "consumer", Consumer(GROUP, database, platform.bus, HANDLERS).run)


def sweeper(files: EvidenceFiles) -> Worker:
    """Removes what uploads that died have left in the object store."""

    def run(stop: threading.Event) -> None:
        last = datetime.min.replace(tzinfo=UTC)
        while not stop.wait(POLL_S):
            now = utc_now()
            if now - last >= SWEEP_EVERY:
                files.remove_orphans(now)
                last = now

    return Worker("evidence-sweeper", "periodic", run)
