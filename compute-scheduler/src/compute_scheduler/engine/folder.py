"""The folder of an attempt: its files are the engine's memory, so that agent and supervisor may die at any moment.

`record`  one JSON object a line, only ever added to: what the agent took, with the nonce by which it claims its epoch;
          `begun`, written before the command may run; `process`, its id and start time, once it has run for a moment;
          `end`, how it ended
`log`     what it printed, cut at its limit
`work/`   the job's working folder, the only place it may write to

Whoever adds to a record holds a lock
on it, and the supervisor does so as long as the command runs: of beginning and giving up before the beginning one comes
first. A line that was cut off by a crash says nothing, nor does one that names another attempt: when power fails, part
of what a folder held before may come back.

File systems look for a free place among all files that were removed lately, which costs more than a short job does
(ext4: files of the last minute). So a folder that its job has left as it was made is kept for another attempt. Its
record is overwritten with blanks, never cut: what is written to a file that was cut goes to the disk when it is closed
(ext4), which costs fifteen times the writing and makes the writer wait.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import shutil
import stat
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from compute_scheduler.engine import processes

Json = dict[str, Any]
RECORD, LOG, WORK, TMP = "record", "log", "work", "tmp"
_MADE = stat.S_IFDIR | 0o700
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
_READ_BYTES = 1 << 16
# A record grows by a few lines each time that its folder passes on; a larger one ends with its attempt.
_MOST_KEPT_BYTES = 1 << 14
_TICKS_NS = 100_000_000
_Changed = tuple[int, int]


class Facts(NamedTuple):
    """What a record says. process: (pid, start) of the command when somebody wrote it down."""

    spec: Json
    has_begun: bool = False
    process: tuple[int, int] | None = None
    end: Json | None = None


class Pen:
    """The record of an attempt that only the owner of this may add to, until it is closed."""

    def __init__(self, file: int, attempt: str, facts: Facts) -> None:
        self._file = file
        self._attempt = attempt
        self.facts = facts

    def begin(self) -> None:
        """Marks that the command may run from now on."""
        self._add({"begun": True})

    def identify(self, pid: int) -> None:
        """Keeps which process the command is."""
        process = processes.read(pid)
        self._add({"process": [pid, process.began if process is not None else 0]})

    def finish(self, record: Json) -> None:
        """Keeps how it ended."""
        self._add({"end": record})

    def close(self) -> None:
        """Lets others write."""
        os.close(self._file)

    def _add(self, line: Json) -> None:
        _write(self._file, {"attempt": self._attempt, **line})


class AttemptFolder:
    """One attempt's folder below the agent's `attempts/`."""

    def __init__(self, root: str | Path, attempt: str) -> None:
        self.attempt = attempt
        self.root = os.fspath(root)
        self.path = f"{self.root}/{attempt}"
        self.work = f"{self.path}/{WORK}"
        self.log = f"{self.path}/{LOG}"

    def file(self, name: str) -> str:
        """The path of one of its files."""
        return f"{self.path}/{name}"

    def take(self, spec: Json) -> bool:
        """Makes the folder with its spec; False when it was taken before, which then stands."""
        if self.facts() is not None:
            return False
        for folder in (self.path, self.work, f"{self.work}/{TMP}"):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        self.disown()
        self.write_order(spec)
        return True

    def write_order(self, spec: Json, path: str | None = None) -> None:
        """Begins a record, blank or not there yet, with what the agent took: in the folder, or in one to become it."""
        file = os.open(f"{path or self.path}/{RECORD}", _WRITING, 0o600)
        try:
            _write(file, {"attempt": self.attempt, "spec": spec})
        finally:
            os.close(file)

    def facts(self) -> Facts | None:
        """What the record says, None when the agent holds no such attempt."""
        try:
            file = os.open(self.file(RECORD), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _facts(file, self.attempt)
        finally:
            os.close(file)

    def spec(self) -> Json | None:
        """What the agent took, None when it holds no such attempt."""
        facts = self.facts()
        return facts.spec if facts is not None else None

    def exit(self) -> Json | None:
        """How it ended, None while it has not."""
        facts = self.facts()
        return facts.end if facts is not None else None

    def has_begun(self) -> bool:
        """Whether its command may have run."""
        facts = self.facts()
        return facts is not None and facts.has_begun

    def pen(self, *, wait: bool = False) -> Pen | None:
        """The right to add to the record; None when there is no such attempt or, unless we wait, somebody else has it.

        What it has read is what the record says, until it is closed.
        """
        try:
            file = os.open(self.file(RECORD), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        facts = None
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # Read once it is locked: the folder may have become another attempt's meanwhile.
            facts = _facts(file, self.attempt)
        if facts is None:
            os.close(file)
            return None
        return Pen(file, self.attempt, facts)

    def begin(self) -> None:
        """Marks that the command may run from now on, once. Raises FileNotFoundError when there is no such attempt."""
        with self._pen() as pen:
            if not pen.facts.has_begun:
                pen.begin()

    def finish(self, record: Json) -> Json:
        """Keeps how it ended; the first word stands, and is returned. Raises FileNotFoundError."""
        with self._pen() as pen:
            if pen.facts.end is None:
                pen.finish(record)
            return pen.facts.end or record

    def give_up(self, record: Json) -> Json | None:
        """Keeps how it ended without having begun, and returns what stands; None: it runs, so its end will be told."""
        pen = self.pen()
        if pen is None:
            return None
        with contextlib.closing(pen):
            if pen.facts.end is None and not pen.facts.has_begun:
                pen.finish(record)
                return record
            return pen.facts.end

    def _pen(self) -> contextlib.closing[Pen]:
        pen = self.pen(wait=True)
        if pen is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.file(RECORD))
        return contextlib.closing(pen)

    def read_log(self, offset: int, most_bytes: int) -> bytes:
        """A stretch of what the command printed; empty at its end."""
        try:
            with open(self.log, "rb") as file:
                file.seek(offset)
                return file.read(max(0, most_bytes))
        except FileNotFoundError:
            return b""

    def disown(self) -> None:
        """Makes it nobody's: what is left of it is no attempt any more, whenever it is removed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(RECORD))

    def remove(self) -> None:
        """Forgets the attempt."""
        self.disown()
        shutil.rmtree(self.path, ignore_errors=True)


class Spares:
    """Folders below `attempts/` that no attempt has yet, or any more; safe among threads.

    Whether a job has left its folder as it was made is told by when its inodes were changed last, which nobody can
    set back; where that tells nothing, by looking into it.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = os.fspath(root)
        self._names = itertools.count()
        self._made: deque[tuple[str, _Changed]] = deque()
        self._changed: dict[str, _Changed] = {}  # by attempt, then by what `take_back` has returned

    def open(self) -> None:
        """Removes what an agent that died was making or removing."""
        for name in os.listdir(self._root):
            if name.startswith("."):
                shutil.rmtree(f"{self._root}/{name}", ignore_errors=True)

    def give(self, folder: AttemptFolder, spec: Json) -> bool:
        """Like `AttemptFolder.take`; the folder is there with its spec or not at all."""
        try:
            made, changed = self._made.popleft()
        except IndexError:
            made = self._name()
            for path in (made, f"{made}/{WORK}", f"{made}/{WORK}/{TMP}"):
                os.mkdir(path, 0o700)
            changed = _changed(made)
        folder.write_order(spec, made)
        try:
            os.rename(made, folder.path)
        except OSError:
            if folder.facts() is not None:
                self.remove(made)
                return False
            folder.remove()  # what a crash of the machine has left of it
            os.rename(made, folder.path)
        # The clock of inodes ticks every few milliseconds: what the job does in the same tick would not show.
        if time.time_ns() - max(changed) > _TICKS_NS:
            self._changed[folder.attempt] = changed
        return True

    def take_back(self, folder: AttemptFolder) -> str | None:
        """Makes an attempt's folder nobody's; returns what `keep` or `remove` is told, None when there is none."""
        left = self._name()
        changed = self._changed.pop(folder.attempt, None)
        try:
            os.rename(folder.path, left)
        except FileNotFoundError:
            return None
        if changed is not None:
            self._changed[left] = changed
        return left

    def keep(self, left: str) -> None:
        """Keeps a folder, of whose attempt no process is alive, for another, or removes it when it is not empty."""
        before = self._changed.pop(left, None)
        with contextlib.suppress(OSError):
            changed = _changed(left)
            if (changed == before or _is_as_made(left)) and _is_made_blank(left):
                self._made.append((left, changed))
                return
        self.remove(left)

    def remove(self, left: str) -> None:
        """Removes a folder."""
        self._changed.pop(left, None)
        shutil.rmtree(left, ignore_errors=True)

    def _name(self) -> str:
        return f"{self._root}/.{next(self._names)}"


def attempts_in(root: str | Path) -> list[str]:
    """Attempts that have a folder."""
    try:
        return sorted(name for name in os.listdir(root) if not name.startswith("."))
    except FileNotFoundError:
        return []


def write_whole(path: str, content: Json) -> None:
    """Writes a JSON file that readers see whole or not at all."""
    write_text(path, json.dumps(content, ensure_ascii=False))


def write_text(path: str | Path, text: str) -> None:
    """Writes a small file that readers see whole or not at all."""
    partial = f"{path}.part"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(partial, path)


def read_json(path: str) -> Json | None:
    """The object in a file, None when there is no whole one."""
    try:
        with open(path, encoding="utf-8") as file:
            content: Json = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return content


def _changed(left: str) -> _Changed:
    """When the folders that a job may change were changed last."""
    work = os.lstat(f"{left}/{WORK}")
    return work.st_ctime_ns, os.lstat(f"{left}/{WORK}/{TMP}").st_ctime_ns


def _is_as_made(left: str) -> bool:
    """Whether folders are empty, open to their owner alone, and marked with nothing."""
    work = f"{left}/{WORK}"
    tmp = f"{work}/{TMP}"
    for folder in (work, tmp):
        if os.lstat(folder).st_mode != _MADE or os.listxattr(folder):
            return False
    return os.listdir(work) == [TMP] and not os.listdir(tmp)


def _is_made_blank(left: str) -> bool:
    """Erases what was printed, and overwrites a record, so that it says nothing; False when it is too large to keep."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(f"{left}/{LOG}", 0)
    file = os.open(f"{left}/{RECORD}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        return size <= _MOST_KEPT_BYTES and os.write(file, b" " * size) == size
    finally:
        os.close(file)


def _write(file: int, line: Json) -> None:
    """Adds a line, which begins anew after one that was cut off."""
    text = b"\n%b\n" % orjson.dumps(line)
    if os.write(file, text) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _facts(file: int, attempt: str) -> Facts | None:
    """What an opened record says of the attempt; None when it is another's. The first word on each matter stands."""
    text, place = b"", 0
    while part := os.pread(file, _READ_BYTES, place):
        text, place = text + part, place + len(part)
    said: Json = {}
    for line in filter(None, map(bytes.strip, text.split(b"\n"))):
        with contextlib.suppress(orjson.JSONDecodeError):
            told = orjson.loads(line)
            if told.get("attempt") == attempt:
                said = told | said
    if "spec" not in said:
        return None
    process = said.get("process")
    return Facts(said["spec"], "begun" in said, tuple(process) if process else None, said.get("end"))
