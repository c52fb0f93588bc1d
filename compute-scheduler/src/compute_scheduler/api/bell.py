"""Waiting in an event loop for a commit of this process, without a thread for each that waits."""

from __future__ import annotations

import asyncio
import threading

from brain_kit.events import wakeup

_IDLE_S = 30.0


class Bell:
    """One thread listens to the commits and wakes whoever waits, in whichever event loop."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._listening = False

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Returns when something was committed since `seen` was read from `wakeup.count()`, or after the timeout."""
        woken = asyncio.Event()
        entry = (asyncio.get_running_loop(), woken)
        with self._guard:
            self._waiting.add(entry)
            if not self._listening:
                self._listening = True
                threading.Thread(target=self._listen, name="bell", daemon=True).start()
        try:
            if wakeup.count() == seen:
                await asyncio.wait_for(woken.wait(), timeout_s)
        except TimeoutError:
            pass
        finally:
            with self._guard:
                self._waiting.discard(entry)

    def _listen(self) -> None:
        while True:
            seen = wakeup.count()
            wakeup.wait(seen, _IDLE_S)
            with self._guard:
                if not self._waiting:
                    self._listening = False
                    return
                waiting = list(self._waiting)
            for loop, woken in waiting:
                try:
                    loop.call_soon_threadsafe(woken.set)
                except RuntimeError:  # the loop was closed with somebody in it
                    with self._guard:
                        self._waiting.discard((loop, woken))
