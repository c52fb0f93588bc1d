"""Readiness: which parts of a service answer, asked at the same time and with a time limit each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from brain_kit.telemetry import mask_text

CHECK_TIMEOUT_S = 3.0

Check = Callable[[], None]


class Readiness:
    """Runs checks; each raises when its part fails, with a text that says what is wrong and what to do.

    A part that hangs counts as failing and is not asked again before it has answered, so that probes never pile up.
    """

    def __init__(self, checks: Mapping[str, Check], timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._checks = dict(checks)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._running: dict[str, _Asked] = {}

    def parts(self) -> list[dict[str, Any]]:
        """`{name, ok, detail}` of each part, in the order given; detail is None when it is well."""
        with self._lock:
            asked = {name: self._ask(name) for name in self._checks}
        deadline = time.monotonic() + self._timeout_s
        return [
            {"name": name, "ok": detail is None, "detail": detail}
            for name, one in asked.items()
            for detail in [one.outcome(max(0.0, deadline - time.monotonic()), self._timeout_s)]
        ]

    def _ask(self, name: str) -> _Asked:
        running = self._running.get(name)
        if running is None or running.done.is_set():
            running = self._running[name] = _Asked(name, self._checks[name])
        return running


class _Asked:
    def __init__(self, name: str, check: Check) -> None:
        self.done = threading.Event()
        self._check = check
        self._error: str | None = None
        threading.Thread(target=self._run, name=f"check-{name}", daemon=True).start()

    def outcome(self, wait_s: float, limit_s: float) -> str | None:
        if not self.done.wait(wait_s):
            return f"{limit_s:g} 秒内没有应答，请检查该部件是否运行、网络是否可达"
        return self._error

    def _run(self) -> None:
        try:
            self._check()
        except Exception as error:  # noqa: BLE001 - whatever a check raises is what is wrong with the part
            self._error = mask_text(str(error) or type(error).__name__)
        finally:
            self.done.set()
