"""From an attempt to a running command: behind its walls and within its limits from its first instruction.

The walls and the folder belong to a thread, and a command inherits those of the thread that spawns it. So a thread is
made for each job, puts them on, spawns, and ends. Spawning shares memory with the parent until the command begins,
which costs a third of a fork. Until then the parent waits, so the command is made nice afterwards.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import os
import resource
import shutil
import signal
import time
from functools import cache, lru_cache
from typing import Any

from compute_scheduler.engine import privileges
from compute_scheduler.engine.folder import AttemptFolder
from compute_scheduler.engine.landlock import Walls

_CLONE_FS = 0x200
_ADDRESS_RESERVE = 4 << 30
NOT_FOUND, NOT_EXECUTABLE = 127, 126
_RESET = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGXFSZ)
_libc = ctypes.PyDLL(None, use_errno=True)


class CannotLaunch(Exception):
    """The command cannot be executed; `code` as a shell would answer it."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Launch:
    """A command on its way: made at once, so that the next may be made ready beside it; `pid` waits for its start."""

    def __init__(self, folder: AttemptFolder, spec: dict[str, Any], walls: Walls, output: int) -> None:
        self._limits = spec["limits"]
        self._outcome: int | OSError = OSError(0, "not started")
        self._done = _thread.allocate_lock()
        self._done.acquire()

        def spawn() -> None:
            try:
                self._outcome = _spawn(folder, spec, walls, output)
            except OSError as error:
                self._outcome = error
            finally:
                self._done.release()

        # The plain thread of the system: what `threading` keeps beside it costs more than the spawning.
        try:
            _thread.start_new_thread(spawn, ())
        except RuntimeError as error:  # too many threads or processes: this job fails, the others go on
            self._outcome = OSError(errno.EAGAIN, str(error))
            self._done.release()

    def pid(self) -> int:
        """The process id of the command, which now is within its limits. Raises CannotLaunch."""
        self._done.acquire()
        match self._outcome:
            case FileNotFoundError() as error:
                raise CannotLaunch(NOT_FOUND, f"找不到命令 command not found: {error.filename}")
            case OSError() as error:
                raise CannotLaunch(NOT_EXECUTABLE, f"无法执行命令 cannot run the command: {error}")
            case pid:
                _limit(pid, self._limits)
                return pid


def prepare(limits: dict[str, Any]) -> None:
    """Soft limits of this supervisor, which its jobs begin with; `launch` makes them hard for each."""
    _set_soft(resource.RLIMIT_CORE, 0)
    _set_soft(resource.RLIMIT_FSIZE, int(limits["disk_mb"]) * 1_000_000)


def _spawn(folder: AttemptFolder, spec: dict[str, Any], walls: Walls, output: int) -> int:
    if _libc.unshare(_CLONE_FS):
        raise OSError(ctypes.get_errno(), "unshare")
    os.umask(0o077)
    os.chdir(folder.work)
    command, env = spec["command"], spec["env"]
    privileges.drop()
    walls.enter(folder.work, spec.get("readable", ()))
    return os.posix_spawn(
        command[0] if "/" in command[0] else _program(command[0], env["PATH"]),
        command,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigdef=_RESET,
        setsigmask=(),
    )


def _program(name: str, path: str) -> str:
    is_same_for_all = all(map(os.path.isabs, path.split(os.pathsep)))
    found = _found(name, path, int(time.monotonic())) if is_same_for_all else shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(2, "not found", name)
    return found


@lru_cache(maxsize=256)
def _found(name: str, path: str, _second: int) -> str | None:
    """Where a program lies; looked for anew each second."""
    return shutil.which(name, path=path)


def _limit(pid: int, limits: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # it may have ended already
        os.setpriority(os.PRIO_PROCESS, pid, int(limits["nice"]))
        os.sched_setaffinity(pid, limits["cpus"])
        memory = int(limits["memory_mb"]) * 1_000_000 + _ADDRESS_RESERVE
        _set_hard(pid, resource.RLIMIT_AS, memory)
        _set_hard(pid, resource.RLIMIT_FSIZE, int(limits["disk_mb"]) * 1_000_000)
        _set_hard(pid, resource.RLIMIT_CORE, 0)
        if os.getuid():  # counts every process of the user, and is not asked for the superuser
            _set_hard(pid, resource.RLIMIT_NPROC, int(limits["user_processes"]))


def give_way(pid: int) -> None:
    """When memory runs short the kernel takes this process before the platform."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _set_hard(pid: int, kind: int, value: int) -> None:
    hard = _own_hard(kind)
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.prlimit(pid, kind, (wanted, wanted))


@cache
def _own_hard(kind: int) -> int:
    """The hard limit that this supervisor has and never changes, and that its jobs begin with."""
    return resource.getrlimit(kind)[1]


def _set_soft(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (wanted, hard))
