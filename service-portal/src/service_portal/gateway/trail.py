"""Audit records of write requests, kept in memory for a second and then written in one transaction."""

from __future__ import annotations

import threading

from brain_contracts.events import AuditRecorded
from brain_kit.auth import Principal
from brain_kit.clock import utc_now

MOST_WAITING = 50_000


class Trail:
    """Collects records on the event loop; the settling worker takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[AuditRecorded] = []

    def add(
        self, principal: Principal, method: str, path: str, status: int, request_id: str, milliseconds: float
    ) -> None:
        """Adds a record of a write request."""
        record = AuditRecorded(
            at=utc_now(),
            subject=principal.subject,
            kind=principal.kind,
            org=principal.org,
            name=principal.name,
            action="gateway.request",
            object=f"{method} {path}"[:400],
            outcome="ok" if status < 400 else "refused" if status < 500 else "failed",
            detail={"status": status, "request_id": request_id, "ms": round(milliseconds, 1)},
        )
        with self._lock:
            self._waiting.append(record)

    def take(self) -> list[AuditRecorded]:
        """Hands over what waits."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            return taken

    def give_back(self, records: list[AuditRecorded]) -> None:
        """Puts back what could not be written; the oldest go first when memory would run out."""
        with self._lock:
            self._waiting = (records + self._waiting)[-MOST_WAITING:]
