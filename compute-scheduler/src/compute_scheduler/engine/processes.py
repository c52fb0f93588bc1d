"""Processes as /proc shows them: who descends from whom, how much memory they hold."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MARK = "BRAIN_ATTEMPT"
_KILL_ROUNDS = 200


@dataclass(frozen=True)
class Process:
    """One process; `began` (ticks since boot) tells it from a later one of the same number."""

    pid: int
    parent: int
    session: int
    began: int
    resident_bytes: int
    is_zombie: bool


def read(pid: int) -> Process | None:
    """The process, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(
        pid, int(fields[1]), int(fields[3]), int(fields[19]), int(fields[21]) * PAGE_BYTES, fields[0] in (b"Z", b"X")
    )


def every() -> dict[int, Process]:
    """All processes of the machine that are not dead."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read(int(name))
            if process is not None and not process.is_zombie:
                found[process.pid] = process
    return found


@lru_cache(maxsize=1)
def of_user(_period: int) -> int:
    """Threads of this user now, which its process limit counts too; 0 for the superuser, who has no such limit."""
    me = os.getuid()
    if not me:
        return 0
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == me:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def family(table: dict[int, Process], root: int, known: Mapping[int, int] = {}) -> dict[int, int]:
    """The root's session, its descendants, and those of the processes known to belong to it: pid to start.

    known: an earlier answer; a pid that another process has by now is left out.
    """
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    queue = [pid for pid, began in known.items() if pid in table and table[pid].began == began]
    queue += [process.pid for process in table.values() if process.session == root]
    found = set(queue)
    while queue:
        below = [pid for pid in children.get(queue.pop(), ()) if pid not in found]
        found.update(below)
        queue += below
    return {pid: table[pid].began for pid in found}


def marked(table: dict[int, Process], attempt: str) -> set[int]:
    """Processes whose environment names the attempt: also those that left its session and lost their parents."""
    wanted = f"{MARK}={attempt}".encode()
    found = set()
    for pid in table:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if wanted in file.read().split(b"\0"):
                found.add(pid)
    return found


def children() -> set[int]:
    """Processes whose parent is this one."""
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", encoding="ascii") as file:
            return set(map(int, file.read().split()))
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return {process.pid for process in every().values() if process.parent == me}


def send(pids: Iterable[int], number: int) -> None:
    """Signals processes; those that are gone are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all(find: Callable[[], set[int]]) -> bool:
    """Kills what `find` finds until it finds nothing: stopped first, so that nobody forks away meanwhile."""
    for _ in range(_KILL_ROUNDS):
        found = find()
        if not found:
            return True
        send(found, signal.SIGSTOP)
        send(found | find(), signal.SIGKILL)
        time.sleep(0.005)
    return False


def folder_bytes(folder: str, most_entries: int = 200_000) -> int:
    """Bytes that the files below a folder occupy; more entries than `most_entries` count a block each."""
    total, entries, queue = 0, 0, [folder]
    while queue:
        with contextlib.suppress(OSError), os.scandir(queue.pop()) as listing:
            for entry in listing:
                entries += 1
                if entries > most_entries:
                    return total + entries * 4096
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
