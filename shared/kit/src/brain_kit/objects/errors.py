"""What can go wrong with an object, each error with a stable code and what to do next."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brain_kit.problems import Conflict, InvalidInput, NotFound, Problem, Unavailable


class ObjectNotFound(NotFound):
    """No object has this key, or no upload this id."""

    code = "object_not_found"
    title = "Object not found"


class ObjectExists(Conflict):
    """The key is taken and the caller asked to create it."""

    code = "object_exists"
    title = "Object exists"


class KeyInUse(Conflict):
    """The key is the parent of another key, or lies below one."""

    code = "object_key_in_use"
    title = "Object key conflicts with another key"


class InvalidKey(InvalidInput):
    """The text cannot be the key of an object."""

    code = "object_key_invalid"
    title = "Invalid object key"


class RangePastEnd(InvalidInput):
    """The range asked for begins behind the end of the object."""

    code = "range_past_end"
    title = "Range past end"


class ChecksumMismatch(InvalidInput):
    """The bytes received are not those whose SHA-256 the caller declared; nothing was stored."""

    code = "checksum_mismatch"
    title = "Checksum mismatch"


class ObjectCorrupt(Problem):
    """The stored bytes no longer have the SHA-256 recorded when they were written."""

    status = 500
    code = "object_corrupt"
    title = "Stored object is damaged"


class StoreFull(Problem):
    """The disk or the quota behind the store is used up; nothing half-written became visible."""

    status = 507
    code = "store_full"
    title = "Object store is full"


class StoreUnavailable(Unavailable):
    """The store cannot be reached or refuses to work; the same call may succeed later."""

    code = "store_unavailable"
    title = "Object store unavailable"


_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_KEY_CLASH = {errno.ENOTDIR, errno.EISDIR}


@contextmanager
def folder_errors(root: Path, key: str = "") -> Iterator[None]:
    """Turn what the operating system says about a folder into the errors of this module.

    FileExistsError and FileNotFoundError pass through: only the caller knows what they mean.
    """
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFull(f"对象存储目录 {root} 所在磁盘已满，请清理空间后重试。", store=str(root)) from error
        if key and error.errno in _KEY_CLASH:
            raise KeyInUse(f"对象键 {key} 与已有对象键互为上下级，请换一个键。", key=key) from error
        reason = error.strerror or type(error).__name__
        raise StoreUnavailable(f"对象存储目录 {root} 不可用：{reason}。", store=str(root)) from error
