"""The platform as a real process, to be killed, stopped and started again."""

import os
import re
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from brain_testing.ports import free_port, free_ports
from brain_testing.servers.child import Child

__all__ = ["PlatformFailed", "PlatformProcess", "free_port", "free_ports"]

_READY = re.compile(rb"^ready (\S+)", re.MULTILINE)
_POLL_S = 0.02


class PlatformFailed(RuntimeError):
    """The platform did not become ready; the text ends with what it printed."""


class PlatformProcess:
    """`brain COMMAND --home HOME --port PORT`, or any command that prints `ready URL` when it serves.

    home: created when missing; its log is {home}/process.log. port: a free one when 0, kept over restarts.
    env: added to the environment. arguments: appended to the command line.
    command: the words after `brain`; with `line` the whole command line instead.
    """

    def __init__(
        self,
        home: Path,
        port: int = 0,
        env: dict[str, str] | None = None,
        *,
        command: tuple[str, ...] = ("up",),
        arguments: tuple[str, ...] = (),
        line: list[str] | None = None,
        ready_timeout_s: float = 60,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        brain = [sys.executable, "-m", "industry_brain", *command]
        self._line = line or [*brain, "--home", str(home), "--port", str(self.port), *arguments]
        self._ready_timeout_s = ready_timeout_s
        self._child: Child | None = None
        self.ready_s = 0.0
        self.url = ""

    @property
    def pid(self) -> int:
        """Its process id. Raises RuntimeError when it was never started."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.exit_code is None

    def start(self) -> Self:
        """Start it and wait for its ready line; `ready_s` tells how long that took. Raises PlatformFailed."""
        self.home.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        child = Child(self._line, folder=self.home, log=self.home / "process.log", env=self._env)
        self._child = child
        while (ready := self._ready_line(child)) is None:
            if child.exit_code is not None:
                raise PlatformFailed(f"ended with {child.exit_code} before it was ready:\n{child.output()}")
            if time.monotonic() - began > self._ready_timeout_s:
                child.kill()
                raise PlatformFailed(f"not ready after {self._ready_timeout_s:g} s:\n{child.output()}")
            time.sleep(_POLL_S)
        self.url = ready
        self.ready_s = time.monotonic() - began
        return self

    def kill9(self) -> None:
        """SIGKILL, also to its children."""
        self._started().kill()

    def stop(self, timeout_s: float = 30) -> int:
        """SIGTERM, and force after `timeout_s`; returns the exit code, negative for a signal."""
        return self._started().stop(signal.SIGTERM, timeout_s)

    def restart(self) -> Self:
        """Start again on the same home and port, after a planned stop where it still runs."""
        if self.is_running:
            self.stop()
        return self.start()

    def freeze(self) -> None:
        """SIGSTOP, also to its children."""
        self._started().freeze()

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        self._started().thaw()

    def output(self, limit: int = 20_000) -> str:
        """The end of what it printed since its last start."""
        return self._started().output(limit)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.is_running:
            self.stop()

    def _started(self) -> Child:
        if self._child is None:
            raise RuntimeError("the platform was not started")
        return self._child

    @staticmethod
    def _ready_line(child: Child) -> str | None:
        with child.log.open("rb") as log:
            log.seek(child.log_start)
            found = _READY.search(log.read(1_000_000))
        return found[1].decode() if found else None
