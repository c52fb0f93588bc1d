"""Work that follows other work in a thread of its own: writing what has been read while the next is being read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

WAITING = 2


class Behind:
    """Runs tasks in the order in which they came, a few behind; what one of them raises comes out of a later call."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "behind")
        self._open: deque[Future[None]] = deque()

    def do(self, task: Callable[..., None], *args: object) -> None:
        """Hands a task on; waits while too many are still to be done, since each holds rows in memory."""
        while len(self._open) >= WAITING:
            self._open.popleft().result()
        self._open.append(self._pool.submit(task, *args))

    def finish(self) -> None:
        """Waits until all is done. Raises what the first task that failed has raised."""
        while self._open:
            self._open.popleft().result()

    def close(self) -> None:
        """Drops what has not begun and waits for what has."""
        self._pool.shutdown(cancel_futures=True)
