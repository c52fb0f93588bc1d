"""Files of jobs: addressed by their content, owned by organisations."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.objects import ObjectStore

from compute_scheduler.domain import states
from compute_scheduler.service.errors import AttemptUnknown, FileTooLarge, FileUnknown
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import accounts
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
CHUNK_BYTES = 1 << 20
MEMORY_BYTES = 4 << 20


class Files:
    """Keeps files in the object store; a content that two organisations put is stored once and owned twice."""

    def __init__(self, database: Database, objects: ObjectStore, spool: Path, most_bytes: int) -> None:
        self._database = database
        self._objects = objects
        self._spool = spool
        self._most_bytes = most_bytes

    def receive(self) -> Receiving:
        """Begins to take a file in."""
        self._spool.mkdir(parents=True, exist_ok=True)
        return Receiving(self._spool, self._most_bytes)

    def keep(self, principal: Principal, org: str, received: Receiving) -> Row:
        """Makes what was received a file of the organisation; a repeat changes nothing."""
        digest, size = received.sha256, received.size
        key = _key(digest)
        known = self._objects.head(key)
        if known is None:
            self._objects.put(key, received.content(), sha256=digest)
        with self._database.transaction() as session:
            if accounts.save_file(session, org, digest, size, utc_now()):
                audit.record(session, principal, action="file.put", object=digest, detail={"org": org, "size": size})
        return {"sha256": digest, "size": size}

    def open(self, actor: Actor, digest: str) -> tuple[BinaryIO, int]:
        """(stream, size) of a file. Raises FileUnknown."""
        with self._database.reading() as session:
            row = accounts.file(session, actor.org, digest)
        if row is None:
            raise FileUnknown(f"本机构没有文件 {digest[:64]}")
        return self._objects.open(_key(digest)), int(row["size"])

    def open_input(self, centre: str, attempt_id: str, digest: str) -> tuple[BinaryIO, int]:
        """A file of the organisation whose attempt the centre holds. Raises AttemptUnknown, FileUnknown."""
        attempt, job = self._attempt(centre, attempt_id)
        if all(item["sha256"] != digest for item in job["spec"]["inputs"].values()):
            raise FileUnknown(f"{digest[:64]} 不是这个作业的输入")
        with self._database.reading() as session:
            row = accounts.file(session, attempt["org"], digest)
        if row is None:
            raise FileUnknown(f"没有文件 {digest[:64]}")
        return self._objects.open(_key(digest)), int(row["size"])

    def keep_output(self, principal: Principal, centre: str, attempt_id: str, received: Receiving) -> Row:
        """Makes an output of an attempt a file of its organisation. Raises AttemptUnknown."""
        attempt, _ = self._attempt(centre, attempt_id)
        return self.keep(principal, attempt["org"], received)

    def _attempt(self, centre: str, attempt_id: str) -> tuple[Row, Row]:
        with self._database.reading() as session:
            attempt = store.attempts_by_id(session, [attempt_id]).get(attempt_id)
            job = store.job(session, states.job_of(attempt_id))
        if attempt is None or job is None or attempt["centre"] != centre or attempt["state"] == "ended":
            raise AttemptUnknown(f"中心 {centre} 没有进行中的运行 {attempt_id[:60]}")
        return attempt, job


class Receiving:
    """A body on its way in: in memory while it is small, on disk beyond."""

    def __init__(self, spool: Path, most_bytes: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(spool))  # noqa: SIM115 - closed by `close`
        self._hash = hashlib.sha256()
        self._most_bytes = most_bytes
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Takes a chunk. Raises FileTooLarge."""
        self.size += len(chunk)
        if self.size > self._most_bytes:
            raise FileTooLarge(f"文件超过上限 {self._most_bytes} 字节", limit_bytes=self._most_bytes)
        self._hash.update(chunk)
        self._file.write(chunk)

    @property
    def sha256(self) -> str:
        """The digest of what has come."""
        return self._hash.hexdigest()

    def content(self) -> BinaryIO:
        """What has come, from its beginning."""
        self._file.seek(0)
        return cast(BinaryIO, self._file)

    def close(self) -> None:
        """Forgets the body."""
        self._file.close()


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream."""
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _key(digest: str) -> str:
    return f"compute/files/{digest[:2]}/{digest}"
