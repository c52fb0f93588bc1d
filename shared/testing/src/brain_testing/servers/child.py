"""A child process that is started, watched, hurt and ended by its id."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

# `setpriv --pdeathsig` kills the child when the *thread* that started it ends. This one lives as long as the
# process, so a server restarted from a short-lived thread of a test goes on.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brain-launcher")


class Child:
    """One running process, its own session, output in a log file.

    die_with_parent: the kernel kills it when this process ends, even by SIGKILL.
    """

    def __init__(
        self, command: list[str], *, folder: Path, log: Path, env: dict[str, str], die_with_parent: bool = True
    ) -> None:
        self.log = log
        self.log_start = log.stat().st_size if log.exists() else 0
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"] if die_with_parent else []
        with log.open("ab") as out:
            self._process = _LAUNCHER.submit(
                subprocess.Popen,
                [*prefix, *command],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            ).result()
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself; nothing happens when it is gone."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 20) -> int:
        """End it politely, after `timeout_s` by force; returns the exit code when all its children are gone."""
        family = descendants(self.pid)
        self.send(number)
        self.thaw()  # a frozen process would not hear it
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self._end(family)

    def kill(self) -> int:
        """SIGKILL it and its children at once; returns when they are gone."""
        family = descendants(self.pid)
        self.send(signal.SIGKILL)
        return self._end(family)

    def freeze(self) -> None:
        """SIGSTOP it and its children; returns when they stand. Connections stay open, nothing answers."""
        pids = [self.pid, *descendants(self.pid)]
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(_state(pid) not in {"T", "Z", ""} for pid in pids):
            time.sleep(0.005)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        for pid in (*descendants(self.pid), self.pid):
            _send(pid, signal.SIGCONT)

    def output(self, limit: int = 4000) -> str:
        """The end of what it printed since this start."""
        with self.log.open("rb") as log:
            log.seek(max(self.log_start, self.log.stat().st_size - limit))
            return log.read().decode(errors="replace")

    def _end(self, family: list[int]) -> int:
        if self.exit_code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait(10)
        for pid in family:
            _send(pid, signal.SIGKILL)
        _await_gone(family)
        return code


def descendants(pid: int) -> list[int]:
    """Children of a process, their children and so on (a server's workers may have sessions of their own)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _stat(int(entry.name))):
            children.setdefault(int(parent[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def started_at(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None when there is none. With the id it names a process."""
    stat = _stat(pid)
    return int(stat[19]) if stat and stat[0] != "Z" else None


def stop_by_pid(pid: int, began: int, number: signal.Signals, timeout_s: float = 20) -> bool:
    """End a process another command started, if it is still the same one; True when it ran."""
    if started_at(pid) != began:
        return False
    family = descendants(pid)
    _send(pid, number)
    if not _await_gone([pid], timeout_s):
        _send(pid, signal.SIGKILL)
    for child in family:
        _send(child, signal.SIGKILL)
    _await_gone([pid, *family])
    return True


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on (0 state, 1 parent, 19 start time)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _state(pid: int) -> str:
    """The letter of the process state (T: stopped); empty when there is no such process."""
    stat = _stat(pid)
    return stat[0] if stat else ""


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_gone(pids: Iterable[int], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    left = set(pids)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if started_at(pid) is not None}
        if left:
            time.sleep(0.01)
    return not left
