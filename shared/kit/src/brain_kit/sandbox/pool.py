"""Keeps sandbox processes at hand: a request takes one that already holds its scope, else any, else a new one."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brain_kit.problems import Unavailable
from brain_kit.sandbox.limits import SandboxLimits
from brain_kit.sandbox.process import FOLDER_PREFIX, SandboxDied, SandboxProcess


class SandboxUnavailable(Unavailable):
    """No sandbox process can be started."""

    code, title = "sandbox_unavailable", "Sandbox unavailable"


class SandboxPool:
    """Idle processes of one module. It does not bound their number: whoever leases one has been admitted before.

    module: see SandboxProcess. failure: the problem that is raised when none can be started.
    """

    def __init__(
        self,
        module: str,
        folder: Path,
        limits: SandboxLimits,
        *,
        idle_limit_s: float = 300.0,
        failure: type[Unavailable] = SandboxUnavailable,
    ) -> None:
        self.limits = limits
        self._module = module
        self._failure = failure
        self._folder = folder
        self._idle_limit_s = idle_limit_s
        self._idle: list[SandboxProcess] = []
        self._lock = threading.Lock()
        self._closed = False
        _remove_orphans(folder)

    @contextmanager
    def lease(self, scope_key: str = "") -> Iterator[SandboxProcess]:
        """A process for one request; it is used again only if its answer was read to the end.

        Raises SandboxUnavailable (or the pool's own failure) when none can be started.
        """
        process = self._take(scope_key)
        try:
            process.wait_ready()
            yield process
        except SandboxDied as error:
            if not process.ready:
                raise self._failure("沙箱进程未能启动，请稍后重试；若持续出现请联系运营方") from error
            raise
        finally:
            self._give_back(process)

    def tend(self) -> None:
        """End processes that nobody used for a while."""
        now = time.monotonic()
        with self._lock:
            old = [process for process in self._idle if now - process.idle_since > self._idle_limit_s]
            self._idle = [process for process in self._idle if process not in old]
        for process in old:
            process.kill()

    def close(self) -> None:
        """End all idle processes; leased ones end when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def _take(self, scope_key: str) -> SandboxProcess:
        while True:
            with self._lock:
                fitting = [process for process in self._idle if process.holds(scope_key)]
                # The one used last is the warmest; the others grow old and are ended.
                candidates = fitting or self._idle
                if not candidates:
                    break
                process = candidates[-1]
                self._idle.remove(process)
            if process.alive:
                return process
            process.kill()
        try:
            return SandboxProcess(self._module, self._folder, self.limits)
        except OSError as error:
            raise self._failure(f"无法启动沙箱进程：{error.strerror}，请稍后重试") from error

    def _give_back(self, process: SandboxProcess) -> None:
        fit = process.ready and process.alive and not process.busy
        if not fit or process.has_grown():
            process.kill()
            return
        process.idle_since = time.monotonic()
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        process.kill()


def _remove_orphans(folder: Path) -> None:
    """Remove what a killed platform left behind: folders carry the id of the process that made them."""
    for path in folder.glob(f"{FOLDER_PREFIX}*"):
        maker = path.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if maker.isdigit() and not _is_running(int(maker)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
