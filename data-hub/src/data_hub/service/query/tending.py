"""What has to be done beside the queries, in the process that runs them."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger()
Task = tuple[float, Callable[[], None]]


class Tending:
    """Runs tasks, each `(seconds between two runs, what to do)`, from the first query on until `close`.

    Not a worker of the service: in a cluster the workers run in other processes than the queries.
    """

    def __init__(self, tasks: Sequence[Task], at_end: Sequence[Callable[[], None]]) -> None:
        self._tasks = tasks
        self._at_end = at_end
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start, unless it runs already."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="query-tending", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def close(self) -> None:
        """Stop, and do what is done at the end; nothing happens the second time."""
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
        atexit.unregister(self.close)
        if self._thread is not None:
            self._thread.join(timeout=5)
        for task in self._at_end:
            _attempt(task)

    def _run(self) -> None:
        due = [time.monotonic() + every for every, _ in self._tasks]
        while not self._stop.wait(max(0.0, min(due) - time.monotonic())):
            for number, (every, task) in enumerate(self._tasks):
                if time.monotonic() >= due[number]:
                    due[number] = time.monotonic() + every
                    _attempt(task)


def _attempt(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception:
        log.exception("query_tending_failed", task=getattr(task, "__qualname__", str(task)))
