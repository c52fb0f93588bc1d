"""What every object store promises, whatever lies behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

BINARY = "application/octet-stream"

Source = bytes | BinaryIO | Path


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object: key, size in bytes, opaque version tag, SHA-256 (hex), when it was written.

    sha256 is None in listings and for objects that another writer (Iceberg) put beside this library.
    """

    key: str
    size: int
    etag: str
    sha256: str | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One received part of an upload: number from 1, size in bytes, SHA-256 (hex)."""

    number: int
    size: int
    sha256: str


class Upload(Protocol):
    """An upload in parts that outlives the process: its state lies in the store, under its id."""

    @property
    def id(self) -> str:
        """What `resume` needs, beside the key."""

    @property
    def key(self) -> str:
        """The key the object will have."""

    def put_part(self, number: int, data: Source, *, sha256: str | None = None) -> Part:
        """Store part `number` (1 to 10,000), replacing an earlier one with the same number; may run in any order.

        Raises ChecksumMismatch when `sha256` is given and differs, InvalidInput for another number.
        """

    def parts(self) -> list[Part]:
        """The parts received so far, by number."""

    def complete(self) -> ObjectInfo:
        """Join the parts into the object, in one visible step, and forget the upload.

        Every byte is read back and checked on the way. Raises InvalidInput when a number is missing or a part
        other than the last is under 5 MiB, ChecksumMismatch when the declared SHA-256 of the whole differs,
        ObjectCorrupt when a part was damaged; the upload then stays as it is.
        """

    def abort(self) -> None:
        """Forget the upload and its parts; nothing happens when it is already gone."""


@runtime_checkable
class ObjectStore(Protocol):
    """Immutable objects by key, each with its SHA-256.

    Objects are written whole or not at all. By convention a key is written once: local copies rely on it.
    A key is never the parent of another key ("a" beside "a/b") and never ends in "/".
    Every call may raise StoreUnavailable; every write may raise StoreFull; a wrong key raises InvalidKey.
    """

    def put(
        self,
        key: str,
        data: Source,
        *,
        if_absent: bool = False,
        content_type: str = BINARY,
        sha256: str | None = None,
    ) -> ObjectInfo:
        """Store bytes, a readable stream or a file under `key`; memory use does not grow with size.

        if_absent: exactly one of any number of simultaneous writers succeeds, the others get ObjectExists.
        sha256: hex digest the data must have, else ChecksumMismatch and nothing is stored.
        Raises KeyInUse when the key is the parent or the child of another.
        """

    def put_file(self, key: str, path: Path, *, if_absent: bool = False, sha256: str | None = None) -> ObjectInfo:
        """`put` of a file."""

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """A stream (and context manager) over `length` bytes from `offset`, or to the end.

        Reading a whole object to its end checks it: the last read raises ObjectCorrupt when the digest differs.
        Raises ObjectNotFound. An offset behind the end gives an empty stream.
        """

    def get(self, key: str) -> bytes:
        """The whole object, checked. Raises ObjectNotFound, ObjectCorrupt."""

    def head(self, key: str) -> ObjectInfo | None:
        """What is known about the object, or None."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""

    def list(self, prefix: str = "", start_after: str = "", limit: int = 1000) -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix` and is greater than `start_after`, in the order of UTF-8 bytes."""

    def multipart(self, key: str, *, content_type: str = BINARY, sha256: str | None = None) -> Upload:
        """Begin an upload in parts; `sha256` is the digest the whole must have, when known."""

    def resume(self, key: str, upload_id: str) -> Upload:
        """Go on with an upload, also in another process. Raises ObjectNotFound when it is over or unknown."""

    def discard_uploads(self, before: datetime) -> int:
        """Abort uploads that received nothing since `before`; returns how many."""

    def local_path(self, key: str) -> Path:
        """A complete, checked local file with the object's bytes and the suffix of its key; never write to it.

        Raises ObjectNotFound, ObjectCorrupt. Where the file is a cached copy it stays at least five minutes.
        """

    def sync(self, key: str) -> None:
        """Make durable what another writer (Iceberg) put under `key`. Raises ObjectNotFound."""

    def location(self, key: str) -> str:
        """The URI of `key` for Iceberg: file:///... or s3://bucket/..."""

    def key_of(self, location: str) -> str:
        """The key behind a URI of this store. Raises InvalidKey for any other URI."""

    def iceberg_properties(self) -> dict[str, str]:
        """What pyiceberg needs to read and write at `location`; contains the secret, so never log it."""

    def ping(self) -> None:
        """Raise StoreUnavailable or StoreFull unless the store would take a write now."""
