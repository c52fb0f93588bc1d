"""Workers of identity."""

from __future__ import annotations

import threading

import structlog
from brain_kit.database import Database
from brain_kit.events import Consumer
from brain_kit.problems import Problem
from brain_kit.service import Platform, Worker

from identity.consumers import HANDLERS
from identity.service.tokens import TokenSigner

GROUP = "identity"
ROTATION_CHECK_S = 3600.0

log = structlog.get_logger()


def workers(platform: Platform, database: Database, signer: TokenSigner) -> list[Worker]:
    """The relay, the consumer of audit records and the rotation of signing keys."""

    def rotate(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                signer.rotate_when_due()
            except Problem as problem:
                log.warning("rotation_failed", code=problem.code, detail=problem.detail)
            stop.wait(ROTATION_CHECK_S)

    return [
        platform.relay(database),
        Worker("consumer", "consumer", Consumer(GROUP, database, platform.bus, HANDLERS).run),
        Worker("rotation", "periodic", rotate),
    ]
