"""The folder of an attempt: its files are the engine's memory, so that agent and supervisor may die at any moment.

`spec.json`  written by the agent when it takes the attempt; holds the nonce by which it claims its epoch
`begun`      made by the supervisor before it spawns the command: from here on the command may have run
`pid`        process id and start time of the command
`log`        what it printed, cut at its limit
`exit.json`  how it ended; once there it never changes
`work/`      the job's working folder, the only place it may write to
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from compute_scheduler.engine import processes


class AttemptFolder:
    """One attempt's folder below the agent's `attempts/`."""

    def __init__(self, root: str | Path, attempt: str) -> None:
        self.attempt = attempt
        self.path = os.path.join(root, attempt)
        self.work = os.path.join(self.path, "work")
        self.log = os.path.join(self.path, "log")

    def file(self, name: str) -> str:
        """The path of one of its files."""
        return os.path.join(self.path, name)

    def take(self, spec: dict[str, Any]) -> bool:
        """Makes the folder with its spec; False when it was taken before, which then stands."""
        if os.path.exists(self.file("spec.json")):
            return False
        for folder in (self.path, self.work, os.path.join(self.work, "tmp")):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
        write_whole(self.file("spec.json"), spec)
        return True

    def spec(self) -> dict[str, Any] | None:
        """What the agent took, None when it died before it was written."""
        return read_json(self.file("spec.json"))

    def exit(self) -> dict[str, Any] | None:
        """How it ended, None while it has not."""
        return read_json(self.file("exit.json"))

    def is_begun(self) -> bool:
        """Whether a supervisor has taken it up."""
        return any(os.path.exists(self.file(name)) for name in ("begun", "exit.json"))

    def begin(self) -> None:
        """Marks that the command may run from now on. Raises FileExistsError the second time."""
        os.close(os.open(self.file("begun"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def identify(self, pid: int) -> None:
        """Keeps which process the command is."""
        process = processes.read(pid)
        began = process.began if process is not None else 0
        with open(self.file("pid"), "w", encoding="ascii") as file:
            file.write(f"{pid} {began}")

    def process(self) -> tuple[int, int] | None:
        """(pid, start) of the command, None when nobody wrote it down."""
        try:
            with open(self.file("pid"), encoding="ascii") as file:
                pid, began = file.read().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid), int(began)

    def finish(self, record: dict[str, Any]) -> dict[str, Any]:
        """Keeps how it ended; the first word stands."""
        known = self.exit()
        if known is not None:
            return known
        write_whole(self.file("exit.json"), record)
        return record

    def disown(self) -> None:
        """Makes it nobody's: what is left of it is no attempt any more, whenever it is removed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file("spec.json"))

    def remove(self) -> None:
        """Forgets the attempt: its record goes first, so that what is left is never taken for a running one."""
        for name in ("spec.json", "begun", "pid", "exit.json", "log"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.file(name))
        try:  # most jobs leave nothing, and to look for it costs more than they did
            for folder in (os.path.join(self.work, "tmp"), self.work, self.path):
                os.rmdir(folder)
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)


def write_whole(path: str, content: dict[str, Any]) -> None:
    """Writes a JSON file that readers see whole or not at all."""
    partial = f"{path}.part"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False))
    os.replace(partial, path)


def write_text(path: str | Path, text: str) -> None:
    """Writes a small file that readers see whole or not at all."""
    partial = f"{path}.part"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(partial, path)


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a file, None when there is no whole one."""
    try:
        with open(path, encoding="utf-8") as file:
            content: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return content


def attempts_in(root: str | Path) -> list[str]:
    """Attempts that have a folder."""
    try:
        return sorted(os.listdir(root))
    except FileNotFoundError:
        return []
