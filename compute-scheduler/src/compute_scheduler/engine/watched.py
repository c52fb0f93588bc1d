"""One running job as its supervisor sees it: its output, its limits, its end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from typing import Any

from compute_scheduler.engine import launch, processes
from compute_scheduler.engine.folder import AttemptFolder, Pen
from compute_scheduler.engine.processes import Process

READ_BYTES = 1 << 20
DISK_EVERY_S = 0.5
CUT = "\n[日志达到上限 {limit} 字节，其后的输出未保存 log limit reached, the rest is not kept]\n"


class WatchedJob:
    """A started command with what it may use.

    `cause` says why it was ended by us: cancelled, time_limit, memory, disk, processes; else `exit`.
    is_quiet: no process of it can be alive any more. is_settled: what only a job of some length needs has been done.
    began, began_at: monotonic and calendar seconds just before it was started.
    """

    def __init__(self, folder: AttemptFolder, pen: Pen, pid: int, output: int, began: float, began_at: float) -> None:
        self.folder = folder
        self.pen = pen
        self.limits = pen.facts.spec["limits"]
        self.pid = pid
        self.output = output
        self.cause = "exit"
        self.began = began
        self.began_at = began_at
        self.is_quiet = False
        self.is_settled = False
        self.kill_at: float | None = None
        self.log_bytes = 0
        self.dropped = 0
        self.peak_bytes = 0
        self.members: dict[int, int] = {}
        self._log: int | None = None
        self._looked_at_disk = self.began

    def read_output(self) -> bool:
        """Takes what it printed into its log; False when it has closed its output."""
        try:
            data = os.read(self.output, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        room = int(self.limits["log_bytes"]) - self.log_bytes
        kept = data[: max(room, 0)]
        if kept:
            self._write(kept)
        if len(kept) < len(data):
            if not self.dropped:
                self._write(CUT.format(limit=self.limits["log_bytes"]).encode())
            self.dropped += len(data) - len(kept)
        return True

    def _write(self, data: bytes) -> None:
        if self._log is None:
            self._log = os.open(self.folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a full disk costs the log, not the job's end
            os.write(self._log, data)
        self.log_bytes += len(data)

    def check(self, now: float, table: dict[int, Process]) -> None:
        """Ends it when it is over one of its limits; called again and again once it has run for a moment."""
        if not self.is_settled:
            self._settle()
        self.members = processes.family(table, self.pid, self.members | self._orphans(table))
        resident = sum(table[pid].resident_bytes for pid in self.members)
        self.peak_bytes = max(self.peak_bytes, resident)
        if resident > int(self.limits["memory_mb"]) * 1_000_000:
            self.end("memory", now, at_once=True)
        elif len(self.members) > int(self.limits["processes"]):
            self.end("processes", now, at_once=True)
        elif now - self.began > float(self.limits["time_limit_s"]):
            self.end("time_limit", now)
        elif now - self._looked_at_disk > DISK_EVERY_S:
            self._looked_at_disk = now
            if processes.folder_bytes(self.folder.work) > int(self.limits["disk_mb"]) * 1_000_000:
                self.end("disk", now, at_once=True)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_members()

    def _settle(self) -> None:
        """Keeps which process it is: until then its environment tells. The kernel takes it before the platform."""
        self.is_settled = True
        with contextlib.suppress(OSError):  # a full disk
            self.pen.identify(self.pid)
        launch.give_way(self.pid)

    def end(self, cause: str, now: float, *, at_once: bool = False) -> None:
        """Asks it to end and kills it after the grace, or at once; the first cause stands."""
        if self.cause == "exit":
            self.cause = cause
        if at_once:
            self.kill_at = now
            self.kill_members()
        elif self.kill_at is None:
            self.kill_at = now + float(self.limits["grace_s"])
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)

    def kill_members(self) -> None:
        """Ends the command and everything that it started."""

        def find() -> set[int]:
            table = processes.every()
            self.members = processes.family(table, self.pid, self.members | self._orphans(table))
            return set(self.members)

        processes.end_all(find)

    def _orphans(self, table: dict[int, Process]) -> dict[int, int]:
        """Processes that left the session and lost their parent: they came to the supervisor, and name the attempt."""
        me = os.getpid()
        mine = {pid: process for pid, process in table.items() if process.parent == me and pid != self.pid}
        return {pid: mine[pid].began for pid in processes.marked(mine, self.folder.attempt)}

    def close(self, status: int, usage: resource.struct_rusage, *, may_hide: bool) -> dict[str, Any]:
        """Ends what the command left behind and keeps how it ended; returns the record.

        may_hide: whether a process without parent may belong to it that has left its session.
        """
        self._end_leftovers(may_hide)
        with contextlib.suppress(OSError):
            while self.read_output() and self._has_more():
                pass
        os.close(self.output)
        if self._log is not None:
            os.close(self._log)
        code = os.waitstatus_to_exitcode(status)
        record = {
            "cause": self._cause(code),
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "run_s": round(time.monotonic() - self.began, 3),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
            "peak_memory_mb": round(max(self.peak_bytes, usage.ru_maxrss * 1024) / 1_000_000, 1),
            "log_bytes": self.log_bytes,
            "log_dropped_bytes": self.dropped,
            "began_at": self.began_at,
            "ended_at": time.time(),
        }
        self.pen.finish(record)
        self.pen.close()
        return record

    def _end_leftovers(self, may_hide: bool) -> None:
        # Nothing is left of most commands: their session is empty and no orphan has come to the supervisor.
        self.is_quiet = not (may_hide or self.members.keys() - {self.pid} or _has_session(self.pid))
        if not self.is_quiet:
            self.kill_members()

    def _has_more(self) -> bool:
        import select

        return bool(select.select([self.output], [], [], 0)[0])

    def _cause(self, code: int) -> str:
        if self.cause == "exit" and code == -signal.SIGXFSZ:
            return "disk"  # one file over the limit
        return self.cause


def _has_session(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
