"""One sandbox process, seen from the platform."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from brain_kit.sandbox import frames
from brain_kit.sandbox.limits import SandboxLimits

START_LIMIT_S = 60.0
END_LIMIT_S = 5.0
FOLDER_PREFIX = "sandbox-"
# Arrow's own allocator reserves 1 GiB at its start, which would count against the limit of the process.
ALLOCATION = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "4"}
PAGE_MIB = 4096 / (1 << 20)


class SandboxDied(RuntimeError):
    """The process ended by itself: the kernel or the engine gave up on what it was asked to do."""


class SandboxProcess:
    """A child that answers one request at a time and may be killed at any moment; not for several threads at once.

    module: what it runs, `python -m MODULE FD FOLDER LIMITS`, which calls `brain_kit.sandbox.worker.serve`.
    `busy`: a request was sent whose last frame has not come yet; such a process is killed rather than used again.
    """

    def __init__(self, module: str, folder: Path, limits: SandboxLimits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._limits = limits
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=folder))
        self._line, child = socket.socketpair()
        command = [sys.executable, "-I", "-m", module]
        with child:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, str(child.fileno()), str(self._folder), json.dumps(asdict(limits))],
                pass_fds=(child.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                # No environment: nothing secret is in reach, and no variable changes what the engine does.
                env={"HOME": str(self._folder), "LANG": "C.UTF-8", **ALLOCATION},
            )
        self._reader = frames.FrameReader(self._line)
        self.ready = False
        self.busy = False
        self._scopes: OrderedDict[str, None] = OrderedDict()
        self.idle_since = time.monotonic()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def holds(self, scope_key: str) -> bool:
        """Whether the database of a scope is probably still open there."""
        return scope_key in self._scopes

    def remember(self, scope_key: str) -> None:
        """Note that a scope was used last."""
        self._scopes[scope_key] = None
        self._scopes.move_to_end(scope_key)
        while len(self._scopes) > self._limits.kept_scopes:
            self._scopes.popitem(last=False)

    def wait_ready(self) -> None:
        """Wait until it takes requests. Raises SandboxDied."""
        if self.ready:
            return
        frame = self.receive(START_LIMIT_S)
        if frame is None or frame[0] != frames.READY:
            raise SandboxDied("the sandbox process did not start")
        self.ready = True

    def send(self, kind: bytes, message: Mapping[str, object]) -> None:
        """Send a request. Raises SandboxDied."""
        try:
            # A message larger than the socket's buffer waits for the process to read, which it does when idle.
            self._line.settimeout(END_LIMIT_S)
            self.busy = True
            frames.send_json(self._line, kind, message)
        except OSError as error:
            raise SandboxDied("the sandbox process is gone") from error

    def receive(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """The next frame, or None after `timeout_s` seconds of silence. Raises SandboxDied."""
        try:
            frame = self._reader.read(timeout_s)
        except (frames.Hangup, OSError) as error:
            raise SandboxDied("the sandbox process is gone") from error
        if frame is not None and frame[0] in frames.FINAL:
            self.busy = False
        return frame

    def has_grown(self) -> bool:
        """Whether so much memory stayed with the process that the next request might lack it."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
            resident, private = int(fields[1]) * PAGE_MIB, int(fields[5]) * PAGE_MIB
        except (OSError, IndexError, ValueError):
            return False
        return resident > self._limits.recycle_mib or private > self._limits.process_mib / 2

    def kill(self) -> None:
        """End it at once, with its temporary files."""
        self._process.kill()
        self._line.close()
        # A process that the kernel cannot end at once is reaped with a later one.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_LIMIT_S)
        shutil.rmtree(self._folder, ignore_errors=True)
