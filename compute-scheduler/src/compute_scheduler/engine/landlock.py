"""Landlock: the kernel keeps a process, and all that it starts, to the paths that it was given.

Unprivileged and inherited; source: the kernel's userspace-api/landlock. A process under it cannot trace, signal (ABI 6)
or read the environment of processes outside. Without it jobs run with plain limits, and the centre says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FIRST_ABI = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_TCP = 0b11
_SCOPES = 0b11
READ = _EXECUTE | _READ_FILE | _READ_DIR
# What a rule on a plain file may name; the rest speaks of directories.
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_libc = ctypes.PyDLL(None, use_errno=True)


def abi() -> int:
    """The version that the kernel offers, 0 without Landlock."""
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)))
    return max(version, 0)


class Walls:
    """The paths of all jobs, opened once: each job adds its own folder and goes behind them."""

    def __init__(self, readable: Iterable[str], writable: Iterable[str], *, network: bool) -> None:
        self.version = abi()
        self.network = network
        self._write = _FIRST_ABI
        self._write |= _REFER if self.version >= 2 else 0
        self._write |= _TRUNCATE if self.version >= 3 else 0
        self._write |= _IOCTL_DEV if self.version >= 5 else 0
        self._paths: list[int] = []
        self._rules: list[bytes] = []
        for access, paths in ((READ, _topmost(readable)), (self._write, _topmost(writable))):
            for path in map(_opened, paths):
                if path is not None:
                    self._paths.append(path)
                    self._rules.append(_rule(path, access))

    def close(self) -> None:
        """Gives the opened paths back."""
        for path in self._paths:
            os.close(path)
        self._paths, self._rules = [], []

    def enter(self, folder: str, readable: Iterable[str] = ()) -> None:
        """Keeps this thread, its privileges dropped, and what it starts to the common paths and `folder`.

        readable: folders that this job alone may read. Raises OSError.
        """
        if not self.version:
            return
        net = _TCP if self.version >= 4 and not self.network else 0
        scoped = _SCOPES if self.version >= 6 else 0
        own = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        more = [path for path in map(_opened, readable) if path is not None]
        try:
            ruleset = self._ruleset(net, scoped)
            try:
                for rule in [*self._rules, _rule(own, self._write), *(_rule(path, READ) for path in more)]:
                    if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0):
                        raise _error("landlock_add_rule")
                if _libc.syscall(_RESTRICT_SELF, ruleset, 0):
                    raise _error("landlock_restrict_self")
            finally:
                os.close(ruleset)
        finally:
            for path in (own, *more):
                os.close(path)

    def _ruleset(self, net: int, scoped: int) -> int:
        fields = [self._write] + ([net] if self.version >= 4 else []) + ([scoped] if self.version >= 6 else [])
        attributes = struct.pack(f"={len(fields)}Q", *fields)
        made = int(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)))
        if made < 0:
            raise _error("landlock_create_ruleset")
        return made


def _rule(path: int, access: int) -> bytes:
    """What the kernel is told of an opened path."""
    is_directory = os.fstat(path).st_mode & 0o170000 == 0o040000
    return struct.pack("=Qi", access if is_directory else access & _ON_FILES, path)


def _topmost(paths: Iterable[str]) -> list[str]:
    """The paths as the kernel knows them, without those below another: each rule costs every job."""
    real = sorted({os.path.realpath(path) for path in paths})
    return [path for path in real if not any(path != top and path.startswith(os.path.join(top, "")) for top in real)]


def _opened(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    return None


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
