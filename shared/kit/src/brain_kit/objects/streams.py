"""Streaming with a running SHA-256."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from brain_kit.objects.contract import Source
from brain_kit.objects.errors import ChecksumMismatch, ObjectCorrupt

CHUNK_BYTES = 1024 * 1024


@contextmanager
def opened(data: Source) -> Iterator[BinaryIO]:
    """A readable stream over bytes, a stream (left open afterwards) or a file (closed afterwards)."""
    if isinstance(data, bytes | bytearray | memoryview):
        yield io.BytesIO(data)
    elif isinstance(data, Path):
        with data.open("rb") as stream:
            yield stream
    else:
        yield data


def copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    """Copy to the end; returns (SHA-256 in hex, bytes copied)."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def digest_of(source: BinaryIO) -> tuple[str, int]:
    """(SHA-256 in hex, size) of what is left in the stream."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def require_digest(key: str, declared: str | None, actual: str) -> None:
    """Raise ChecksumMismatch unless the digests agree or none was declared."""
    if declared is not None and declared.lower() != actual:
        raise ChecksumMismatch(
            f"收到的内容与声明的 SHA-256 不符（{key}），请重新上传。", key=key, declared=declared, actual=actual
        )


def corrupt(key: str, recorded: str, actual: str) -> ObjectCorrupt:
    """The error for an object whose bytes changed since they were written."""
    return ObjectCorrupt(
        f"对象 {key} 的内容与写入时的 SHA-256 不符，请从备份恢复。", key=key, recorded=recorded, actual=actual
    )


class CheckedStream(io.RawIOBase):
    """A stream that raises ObjectCorrupt at its end unless the bytes read have an accepted digest.

    accept: called once at the end with the digest; returns the recorded digest it should have had, or None when
    it is right. `read` may raise the errors of the store; `close` frees the connection or the file.
    """

    def __init__(self, key: str, source: BinaryIO, accept: Callable[[str], str | None] | None) -> None:
        self._key = key
        self._source = source
        self._accept = accept
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read up to the size of the buffer; 0 at the end."""
        if len(buffer) == 0:
            return 0
        chunk = self._source.read(len(buffer))
        if chunk:
            buffer[: len(chunk)] = chunk
            if self._accept is not None:
                self._digest.update(chunk)
        elif self._accept is not None:
            self._check(self._accept)
        return len(chunk)

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()

    def _check(self, accept: Callable[[str], str | None]) -> None:
        actual = self._digest.hexdigest()
        recorded = accept(actual)
        if recorded is not None:
            raise corrupt(self._key, recorded, actual)


def checked(key: str, source: BinaryIO, accept: Callable[[str], str | None] | None) -> BinaryIO:
    """A buffered CheckedStream."""
    return cast(BinaryIO, io.BufferedReader(CheckedStream(key, source, accept), CHUNK_BYTES))


class Window(io.RawIOBase):
    """`length` bytes of a stream from where it stands; closes it when closed."""

    def __init__(self, source: BinaryIO, length: int) -> None:
        self._source = source
        self._left = length

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read up to the size of the buffer or what is left of the window."""
        chunk = self._source.read(min(len(buffer), self._left))
        buffer[: len(chunk)] = chunk
        self._left -= len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()
