"""Resumable uploads: parts and their manifest are staged in the store itself, so any process can go on.

Why not the multipart upload of S3 alone: the checksum of the whole is metadata that must be known when such an
upload begins, and its parts cannot be read back. Staged parts can; the object is assembled from them inside the
server once the digest of the whole is known.
"""

import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol, cast

from brain_kit.ids import new_id
from brain_kit.objects.contract import BINARY, ObjectInfo, Part, Source
from brain_kit.objects.errors import ObjectNotFound
from brain_kit.problems import InvalidInput

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000
STAGING = ".uploads/"

_UPLOAD_ID = re.compile(r"[A-Za-z0-9_]{8,64}")


class Staging(Protocol):
    """What an upload needs from its store; keys here are reserved ones."""

    def stage(self, key: str, data: Source, sha256: str | None) -> ObjectInfo:
        """Store a part or a manifest."""

    def staged(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything staged under a prefix, by key, without digests."""

    def describe_staged(self, key: str) -> ObjectInfo | None:
        """One staged object with its digest."""

    def open_staged(self, key: str) -> BinaryIO:
        """A checked stream; ObjectNotFound."""

    def unstage(self, key: str) -> None:
        """Remove; nothing happens when there is none."""

    def assemble(self, key: str, parts: Sequence[str], content_type: str, sha256: str | None) -> ObjectInfo:
        """Join staged parts into the object in one visible step, having checked every byte."""


class StagedUpload:
    """An upload whose parts are staged objects."""

    def __init__(self, staging: Staging, key: str, upload_id: str, *, content_type: str, sha256: str | None) -> None:
        self.key = key
        self.id = upload_id
        self._staging = staging
        self._content_type = content_type
        self._sha256 = sha256
        self._folder = f"{STAGING}{upload_id}/"

    def put_part(self, number: int, data: Source, *, sha256: str | None = None) -> Part:
        """See contract.Upload."""
        if not 1 <= number <= MAX_PARTS:
            raise InvalidInput(f"分片序号须在 1 到 {MAX_PARTS} 之间，收到 {number}。", field="number")
        info = self._staging.stage(f"{self._folder}{number:05d}", data, sha256)
        return Part(number, info.size, info.sha256 or "")

    def parts(self) -> list[Part]:
        """See contract.Upload."""
        found = []
        for name in self._part_names():
            info = self._staging.describe_staged(name)
            if info is not None:
                found.append(Part(int(name[-5:]), info.size, info.sha256 or ""))
        return found

    def complete(self) -> ObjectInfo:
        """See contract.Upload."""
        parts = self.parts()
        self._require_whole(parts)
        names = [f"{self._folder}{part.number:05d}" for part in parts]
        info = self._staging.assemble(self.key, names, self._content_type, self._sha256)
        self.abort()
        return info

    def abort(self) -> None:
        """See contract.Upload.

        The manifest goes first, then the parts from the first on: a second `complete` running beside can never
        take the rest for the whole.
        """
        names = self._part_names()
        self._staging.unstage(f"{self._folder}manifest")
        for name in names:
            self._staging.unstage(name)

    def _part_names(self) -> list[str]:
        return [info.key for info in self._staging.staged(self._folder) if info.key[-5:].isdigit()]

    @staticmethod
    def _require_whole(parts: list[Part]) -> None:
        numbers = {part.number for part in parts}
        expected = range(1, max(numbers, default=1) + 1)
        missing = [number for number in expected if number not in numbers]
        if missing:
            raise InvalidInput(f"上传缺少第 {missing[0]} 个分片，请补传后再完成。", missing=missing[:20])
        short = [part.number for part in parts[:-1] if part.size < MIN_PART_BYTES]
        if short:
            raise InvalidInput(
                f"第 {short[0]} 个分片小于 {MIN_PART_BYTES} 字节；除最后一个外每个分片至少 5 MiB。",
                too_small=short[:20],
            )


def begin_upload(staging: Staging, key: str, content_type: str = BINARY, sha256: str | None = None) -> StagedUpload:
    """Begin an upload; its manifest is durable when this returns."""
    upload_id = new_id("upl")
    manifest = json.dumps({"key": key, "content_type": content_type, "sha256": sha256}).encode()
    staging.stage(f"{STAGING}{upload_id}/manifest", manifest, None)
    return StagedUpload(staging, key, upload_id, content_type=content_type, sha256=sha256)


def resume_upload(staging: Staging, key: str, upload_id: str) -> StagedUpload:
    """Go on with an upload of this key. Raises ObjectNotFound when it is over, unknown or of another key."""
    unknown = ObjectNotFound(
        f"没有编号为 {upload_id[:80]} 的上传，或它已完成或取消，请重新开始。", key=key, upload=upload_id[:80]
    )
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise unknown
    try:
        with staging.open_staged(f"{STAGING}{upload_id}/manifest") as stream:
            manifest = json.loads(stream.read())
    except ObjectNotFound:
        raise unknown from None
    if manifest["key"] != key:
        raise unknown
    return StagedUpload(staging, key, upload_id, content_type=manifest["content_type"], sha256=manifest["sha256"])


def discard_before(staging: Staging, before: datetime) -> int:
    """Abort uploads that received nothing since `before`; returns how many."""
    uploads: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in staging.staged(STAGING):
        uploads[info.key.split("/")[1]].append(info)
    stale = [found for found in uploads.values() if max(info.modified_at for info in found) < before]
    for found in stale:
        for info in sorted(found, key=lambda info: (not info.key.endswith("manifest"), info.key)):
            staging.unstage(info.key)
    return len(stale)


class _Concatenated(io.RawIOBase):
    """One stream over several, each opened when the one before has ended."""

    def __init__(self, openers: list[Callable[[], BinaryIO]]) -> None:
        self._openers = list(reversed(openers))
        self._current: BinaryIO | None = None

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read from the current part, or go on with the next."""
        while True:
            if self._current is None:
                if not self._openers:
                    return 0
                self._current = self._openers.pop()()
            chunk = self._current.read(len(buffer))
            if chunk:
                buffer[: len(chunk)] = chunk
                return len(chunk)
            self._current.close()
            self._current = None

    def close(self) -> None:
        """Close the current part."""
        if self._current is not None:
            self._current.close()
            self._current = None
        super().close()


def concatenated(openers: list[Callable[[], BinaryIO]]) -> BinaryIO:
    """One stream over the streams the openers give, in order."""
    return cast(BinaryIO, io.BufferedReader(_Concatenated(openers), 1024 * 1024))
