"""Small pushes that come at the same time: judged and kept together by one thread, in one transaction.

A transaction costs a forced write to disk, and on SQLite only one runs at a time. And a thread for each push costs
more than the push itself: for its hundred rows they would hand the interpreter to each other two hundred times. So one
thread takes whatever has come, judges it and writes it. Who waits holds no thread, and hears when its push is safe.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from brain_contracts.events import AuditRecorded
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit_all
from brain_kit.telemetry.tracing import current_traceparent

from data_hub import store
from data_hub.service.receipts import changed_event
from data_hub.store import PushRecord

MOST_TOGETHER = 100


@dataclass(frozen=True)
class Judged:
    """A push as it is to be kept; data: its good rows as an Arrow stream, None when there are none."""

    record: PushRecord
    data: bytes | None


Judge = Callable[[], Judged | None]


@dataclass(eq=False)
class _Arrival:
    """A push that waits to be kept, and who waits for it."""

    caller: Principal
    judge: Judge
    traceparent: str
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[PushRecord | None]
    outcome: PushRecord | BaseException | None = None


class Arrivals:
    """Keeps pushes, each with its event and audit record. on_kept: told which are safe, before those who wait."""

    def __init__(self, database: Database, on_kept: Callable[[Sequence[PushRecord]], None]) -> None:
        self._database = database
        self._on_kept = on_kept
        self._queue: deque[_Arrival] = deque()
        self._lock = threading.Lock()
        self._is_at_work = False
        self._thread = ThreadPoolExecutor(1, "arrivals")

    async def add(self, caller: Principal, judge: Judge) -> PushRecord | None:
        """Judges a push and keeps it. None: `judge` gave nothing, and nothing was kept.

        judge: runs before other pushes are looked at, so only what is quick belongs there.
        Raises IntegrityError for a used Idempotency-Key, DatabaseUnavailable, and what `judge` raises.
        """
        loop = asyncio.get_running_loop()
        arrival = _Arrival(caller, judge, current_traceparent(), loop, loop.create_future())
        with self._lock:
            self._queue.append(arrival)
            is_first, self._is_at_work = not self._is_at_work, True
        if is_first:
            self._thread.submit(self._work)
        return await arrival.future

    def _work(self) -> None:
        """Takes what has come until nothing is left."""
        while taken := self._next():
            self._take(taken)
            _answer(taken)

    def _next(self) -> list[_Arrival]:
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_TOGETHER))]
            self._is_at_work = bool(taken)
        return taken

    def _take(self, taken: Sequence[_Arrival]) -> None:
        ready: list[tuple[_Arrival, Judged]] = []
        for arrival in taken:
            try:
                judged = arrival.judge()
            except BaseException as error:  # noqa: BLE001 - handed to the one who waits for it
                arrival.outcome = error
                continue
            if judged is not None:
                ready.append((arrival, judged))
        if ready:
            self._write(ready)

    def _write(self, ready: Sequence[tuple[_Arrival, Judged]]) -> None:
        try:
            with self._database.transaction() as session:
                store.insert_pushes(session, [(judged.record, judged.data) for _, judged in ready])
                events = [
                    (event, arrival.traceparent)
                    for arrival, judged in ready
                    for event in (changed_event(judged.record), audit_of(arrival.caller, judged.record))
                ]
                emit_all(session, [event for event, _ in events], traceparents=[trace for _, trace in events])
            self._on_kept([judged.record for _, judged in ready])
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for it
            if isinstance(error, sa.exc.IntegrityError) and len(ready) > 1:
                # One of them uses an Idempotency-Key again; the others must not suffer.
                for item in ready:
                    self._write([item])
                return
            for arrival, _ in ready:
                arrival.outcome = error
        else:
            for arrival, judged in ready:
                arrival.outcome = judged.record


def _answer(taken: Sequence[_Arrival]) -> None:
    """Tells those who wait, with one call for each event loop."""
    waiting: dict[asyncio.AbstractEventLoop, list[_Arrival]] = {}
    for arrival in taken:
        waiting.setdefault(arrival.loop, []).append(arrival)
    for loop, arrivals in waiting.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, arrivals)


def _resolve(arrivals: Sequence[_Arrival]) -> None:
    for arrival in arrivals:
        if arrival.future.done():
            continue
        if isinstance(arrival.outcome, BaseException):
            arrival.future.set_exception(arrival.outcome)
        else:
            arrival.future.set_result(arrival.outcome)


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
