"""How many queries may run at once, in total and for one organisation."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from data_hub.domain.query.problems import EngineBusy, TooManyQueries
from data_hub.engine.query_engine import TICK_S, QueryControl


class Admission:
    """Places for running queries. A query waits `wait_s` seconds for one, then is turned away."""

    def __init__(self, *, total: int, per_org: int, wait_s: float) -> None:
        self._total = total
        self._per_org = per_org
        self._wait_s = wait_s
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def place(self, org: str, control: QueryControl) -> Iterator[None]:
        """Hold a place during the block.

        Raises TooManyQueries when the organisation holds all of its places, EngineBusy when all are taken, and
        whatever `control` says when the query is cancelled while it waits.
        """
        until = time.monotonic() + self._wait_s
        with self._changed:
            while not self._free(org):
                if time.monotonic() >= until:
                    raise self._turned_away(org)
                self._changed.wait(TICK_S)
                control.check()
            self._running[org] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[org] -= 1
                if not self._running[org]:
                    del self._running[org]
                self._changed.notify_all()

    def _free(self, org: str) -> bool:
        return self._running[org] < self._per_org and self._running.total() < self._total

    def _turned_away(self, org: str) -> TooManyQueries | EngineBusy:
        if self._running[org] >= self._per_org:
            return TooManyQueries(
                f"本单位同时运行的查询已达上限 {self._per_org} 个，请稍后重试", limit=self._per_org, retry_after_s=2
            )
        return EngineBusy(f"查询引擎的 {self._total} 个位置都在使用，请稍后重试", limit=self._total, retry_after_s=2)
