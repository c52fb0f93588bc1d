"""Writing pushes that arrive at the same time in one transaction.

A transaction costs a forced write to disk, and on SQLite only one runs at a time. So whoever comes while another
writes joins a queue; the next to get the database writes for all of them. Each waits until its own push is safe.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from brain_contracts.events import AuditRecorded, EventData
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit_all

from data_hub import store
from data_hub.service.receipts import changed_event
from data_hub.store import PushRecord

MOST_TOGETHER = 100


@dataclass
class _Pending:
    """A push that waits to be written."""

    record: PushRecord
    data: bytes | None
    events: Sequence[EventData]
    done: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class PushWriter:
    """Keeps pushes that have been checked, each with its event and audit record."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[_Pending] = deque()
        self._leading = threading.Lock()

    def write(self, caller: Principal, record: PushRecord, data: bytes | None) -> None:
        """Returns once the push is safe. Raises IntegrityError for a used Idempotency-Key, DatabaseUnavailable."""
        pending = _Pending(record, data, [changed_event(record), audit_of(caller, record)])
        self._queue.append(pending)
        while not pending.done.is_set():
            # Whoever leads may have taken the queue before this push joined it, so each takes its turn to lead.
            with self._leading:
                if not pending.done.is_set():
                    self._write_queue()
        if pending.failure is not None:
            raise pending.failure

    def _write_queue(self) -> None:
        taken: list[_Pending] = []
        try:
            with self._database.transaction() as session:
                # Taken only now: while this waited for the database more have joined.
                while self._queue and len(taken) < MOST_TOGETHER:
                    taken.append(self._queue.popleft())
                store.insert_pushes(session, [(item.record, item.data) for item in taken])
                emit_all(session, [event for item in taken for event in item.events])
        except sa.exc.IntegrityError as error:
            self._settle(taken, error) if len(taken) == 1 else self._write_singly(taken)
            return
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for it
            # The database may refuse before anything was taken; somebody must hear of it.
            self._settle(taken or [self._queue.popleft()], error)
            return
        self._settle(taken, None)

    def _write_singly(self, taken: Sequence[_Pending]) -> None:
        """One of them uses an Idempotency-Key again; the others must not suffer."""
        for item in taken:
            try:
                with self._database.transaction() as session:
                    store.insert_pushes(session, [(item.record, item.data)])
                    emit_all(session, item.events)
            except BaseException as error:  # noqa: BLE001 - handed to the one who waits for it
                self._settle([item], error)
            else:
                self._settle([item], None)

    @staticmethod
    def _settle(taken: Sequence[_Pending], failure: BaseException | None) -> None:
        for item in taken:
            item.failure = failure
            item.done.set()


def audit_of(caller: Principal, record: PushRecord) -> AuditRecorded:
    """The audit record of a push."""
    return AuditRecorded(
        at=utc_now(),
        subject=caller.subject,
        kind=caller.kind,
        org=caller.org,
        name=caller.name,
        action="dataset.push",
        object=record.dataset,
        outcome="refused" if record.state == "refused" else "ok",
        detail={"push": record.id, "mode": record.mode, "accepted": record.accepted, "rejected": record.rejected},
    )
