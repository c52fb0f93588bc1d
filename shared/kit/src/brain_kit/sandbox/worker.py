"""The inside of a sandbox process: limits that the kernel keeps, and the loop that answers requests on its socket."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from brain_kit.sandbox import frames
from brain_kit.sandbox.limits import SandboxLimits

PARENT_CHECK_S = 1.0


class Desk(Protocol):
    """What a process holds between requests; it can be built again, so the platform kills the process at will."""

    def answer(self, line: frames.FrameWriter, kind: bytes, request: dict[str, Any]) -> None:
        """Do what a request asks and write the frames of its answer, the last of which is one of `frames.FINAL`."""
        ...

    def reserve(self) -> None:
        """Prepare for the next request, while nobody waits."""
        ...


def serve(arguments: list[str], open_desk: Callable[[Path, SandboxLimits], Desk]) -> None:
    """Serve the socket FD of `FD FOLDER LIMITS` until the platform hangs up."""
    line = socket.socket(fileno=int(arguments[0]))
    limits = SandboxLimits(**json.loads(arguments[2]))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _confine(limits)
    desk = open_desk(Path(arguments[1]), limits)
    reader, writer = frames.FrameReader(line), frames.FrameWriter(line)
    frames.send_json(line, frames.READY, {"pid": os.getpid()})
    desk.reserve()
    with contextlib.suppress(frames.Hangup, OSError):
        while (frame := reader.read()) is not None:
            desk.answer(writer, frame[0], frames.parse(frame[1]))
            desk.reserve()


def _confine(limits: SandboxLimits) -> None:
    """Limits that the kernel keeps, whatever runs here."""
    megabytes = 1 << 20
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: limits.process_mib * megabytes,
        resource.RLIMIT_FSIZE: (limits.temp_mib + 64) * megabytes,
    }
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (value, value))


def _end_with(parent: int) -> None:
    """End when the platform is gone, also in the middle of a request."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(0)
