"""Waiting for a push to become final, without holding a thread: hundreds of callers may wait at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from data_hub.domain.push import FINAL
from data_hub.store import PushRecord

# With the committer in this process its word arrives at once, and looking is only a net below.
POLL_LOCAL_S = 1.0
POLL_REMOTE_S = 0.1


class PushWaiters:
    """Who waits for which push."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[PushRecord]]]] = {}
        self._lock = threading.Lock()
        self.poll_s = POLL_REMOTE_S

    def committer_is_here(self) -> None:
        """Says that commits happen in this process."""
        self.poll_s = POLL_LOCAL_S

    def settle(self, records: Iterable[PushRecord]) -> None:
        """Tells those who wait; called by the committer with pushes that have become final."""
        for record in records:
            with self._lock:
                found = self._waiting.pop(record.id, [])
            for loop, future in found:
                loop.call_soon_threadsafe(_resolve, future, record)

    @contextmanager
    def expecting(self, push_id: str) -> Iterator[asyncio.Future[PushRecord]]:
        """A future of the push once it is final; begun before the push is kept, so that no word of it is missed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[PushRecord] = loop.create_future()
        entry = (loop, future)
        with self._lock:
            self._waiting.setdefault(push_id, []).append(entry)
        try:
            yield future
        finally:
            self._forget(push_id, entry)

    async def until_final(
        self,
        record: PushRecord,
        wait_s: float,
        future: asyncio.Future[PushRecord],
        load: Callable[[str], Awaitable[PushRecord]],
    ) -> PushRecord:
        """The push once it is final, or as it is when the time is over. `load` looks it up."""
        deadline = time.monotonic() + wait_s
        while record.state not in FINAL:
            left = deadline - time.monotonic()
            if left <= 0:
                return record
            done, _ = await asyncio.wait([future], timeout=min(left, self.poll_s))
            record = future.result() if done else await load(record.id)
        return record

    def _forget(self, push_id: str, entry: tuple[asyncio.AbstractEventLoop, asyncio.Future[PushRecord]]) -> None:
        with self._lock:
            entries = self._waiting.get(push_id, [])
            if entry in entries:
                entries.remove(entry)
            if not entries:
                self._waiting.pop(push_id, None)


def _resolve(future: asyncio.Future[PushRecord], record: PushRecord) -> None:
    if not future.done():
        future.set_result(record)
