"""Files of components: content-addressed, checked whenever they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import structlog
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.objects import ObjectCorrupt, ObjectNotFound, ObjectStore

from algorithm_dev.domain.card import Card
from algorithm_dev.service.errors import ArtefactTooLarge, DigestWrong, VersionBroken
from algorithm_dev.store import registry

PREFIX = "components"
PATH_PARTS = re.compile(r"[0-9a-f]{64}")
log = structlog.get_logger()


class ArtefactStore:
    """Keeps files by their SHA-256 in the object store."""

    def __init__(self, database: Database, objects: ObjectStore, spool: Path, limit_bytes: int) -> None:
        self.objects = objects
        self.limit_bytes = limit_bytes
        self._database = database
        self._spool = spool

    def put(self, caller: Principal, chunks: Iterator[bytes], declared: str | None = None) -> dict[str, object]:
        """Stores a file for the caller's organisation: {sha256, size}. Raises ArtefactTooLarge, DigestWrong."""
        self._spool.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._spool) as file:
            digest, size = self._receive(chunks, file)
            if declared and declared != digest:
                told = f"收到的内容 SHA-256 为 {digest}，与声明的 {declared} 不符，请重新上传"
                raise DigestWrong(told, got=digest, declared=declared)
            self._keep(Path(file.name), digest)
        with self._database.transaction() as session:
            if registry.add_artefact(session, digest, caller.org, size, utc_now()):
                audit.record(session, caller, action="artefact.put", object=digest, detail={"bytes": size})
        return {"sha256": digest, "size": size}

    def put_bytes(self, content: bytes) -> str:
        """Stores a shipped file; its digest."""
        digest = hashlib.sha256(content).hexdigest()
        if self.objects.head(key_of(digest)) is None:
            self.objects.put(key_of(digest), content, sha256=digest)
        return digest

    def path(self, card: Card, path: str) -> Path:
        """A local file with the content of a card's artefact, its digest verified. Raises VersionBroken."""
        digest = card.artefact(path).sha256
        try:
            found = self.objects.local_path(key_of(digest))
            content_digest = _digest_of(found)
        except (ObjectCorrupt, ObjectNotFound) as error:
            raise _broken(card, path, str(error.detail)) from error
        if content_digest != digest:
            raise _broken(card, path, f"摘要是 {content_digest}，应为 {digest}")
        return found

    def _receive(self, chunks: Iterator[bytes], file: Any) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if size > self.limit_bytes:
                raise ArtefactTooLarge(
                    f"文件超过上限 {self.limit_bytes:,} 字节：请裁剪或量化模型", limit_bytes=self.limit_bytes
                )
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        return digest.hexdigest(), size

    def _keep(self, path: Path, digest: str) -> None:
        # A damaged object is replaced by the same content brought again; a sound one is left alone.
        try:
            known = self.objects.head(key_of(digest))
            if known is not None and _digest_of(self.objects.local_path(key_of(digest))) == digest:
                return
        except (ObjectCorrupt, ObjectNotFound):
            log.warning("artefact_replaced", sha256=digest)
        self.objects.put_file(key_of(digest), path, sha256=digest)


def key_of(digest: str) -> str:
    """The object key of a file."""
    return f"{PREFIX}/{digest[:2]}/{digest}"


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _broken(card: Card, path: str, told: str) -> VersionBroken:
    return VersionBroken(
        f"{card.name} {card.version} 的文件 {path} 与卡片的摘要不符：{told}。请运营方恢复该文件后复验",
        component=card.name,
        version=card.version,
        path=path,
    )
