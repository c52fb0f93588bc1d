"""Workers of identity."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from brain_kit.database import Database
from brain_kit.events import Consumer
from brain_kit.problems import Problem
from brain_kit.service import Platform, Worker

from identity.consumers import HANDLERS
from identity.service import keys
from identity.service.tokens import TokenSigner

GROUP = "identity"
ROTATION_CHECK_S = 3600.0
EXPIRY_CHECK_S = 30.0

log = structlog.get_logger()


def workers(platform: Platform, database: Database, signer: TokenSigner) -> list[Worker]:
    """The relay, the consumer of audit records, the rotation of signing keys and the notices of expired keys."""
    return [
        platform.relay(database),
        Worker("consumer", "consumer", Consumer(GROUP, database, platform.bus, HANDLERS).run),
        Worker("rotation", "periodic", _every(ROTATION_CHECK_S, signer.rotate_when_due)),
        Worker("expiry", "periodic", _every(EXPIRY_CHECK_S, lambda: keys.tell_expired(database))),
    ]


def _every(seconds: float, act: Callable[[], object]) -> Callable[[threading.Event], None]:
    """A loop that acts, waits, and outlives outages."""

    def run(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                act()
            except Problem as problem:
                log.warning("periodic_work_failed", code=problem.code, detail=problem.detail)
            stop.wait(seconds)

    return run
