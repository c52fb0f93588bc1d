"""The file of a backup: a plain tar with a header, the home folder's files, and the manifest as its last member.

Nothing is compressed: the bulk is Parquet, which is. Any tar program can list and unpack it. A file under its final
name is complete: it is written beside it and renamed at the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from brain_kit.objects.ledger import fsync_folder

from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.manifest import CONTENT_PREFIX, FORMAT, HEADER_NAME, MANIFEST_NAME, FileEntry, Manifest

CHUNK_BYTES = 1 << 20
OnBytes = Callable[[int], None]
OnProgress = Callable[[int, int], None]


def counting(total: int, on_progress: OnProgress | None) -> OnBytes:
    """Adds up bytes and tells of them as (done, total); None tells nobody."""
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    return on_bytes


class _Hashed:
    """A readable stream whose digest is worked out beside the reading, one chunk behind."""

    def __init__(self, stream: IO[bytes], pool: ThreadPoolExecutor, on_bytes: OnBytes) -> None:
        self._stream = stream
        self._pool = pool
        self._on_bytes = on_bytes
        self._digest = hashlib.sha256()
        self._running: Future[None] | None = None

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        chunk = self._stream.read(size)
        if self._running is not None:
            self._running.result()
        self._running = self._pool.submit(self._digest.update, chunk) if chunk else None
        self._on_bytes(len(chunk))
        return chunk

    def hexdigest(self) -> str:
        if self._running is not None:
            self._running.result()
        return self._digest.hexdigest()


class ArchiveWriter:
    """Writes a backup; `finish` makes it appear under its name, anything else leaves no trace.

    A file that another process appends to meanwhile is taken as long as it was when it was opened.
    """

    def __init__(self, path: Path, header: dict[str, Any], on_bytes: OnBytes) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.part")
        self._on_bytes = on_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="backup-digest")
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=CHUNK_BYTES)
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `finish`
        self._tar.copybufsize = CHUNK_BYTES  # type: ignore[attr-defined]
        self._add_json(HEADER_NAME, {"format": FORMAT} | header)

    def add(self, path: str, source: Path) -> FileEntry | None:
        """Adds a file of the home folder; None when it is gone."""
        try:
            stream = source.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        with stream:
            status = os.fstat(stream.fileno())
            return self._add(path, stream, status.st_size, status.st_mode & 0o777, status.st_mtime)

    def add_bytes(self, path: str, data: bytes, mode: int = 0o644) -> FileEntry:
        """Adds a file with the given content."""
        return self._add(path, io.BytesIO(data), len(data), mode, time.time())

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest and makes the archive durable and visible."""
        self._add_json(MANIFEST_NAME, manifest.as_json())
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(self._path)
        fsync_folder(self._path.parent)
        self._pool.shutdown()

    def abandon(self) -> None:
        """Removes what was written."""
        with suppress(OSError):  # what is still buffered has no room either
            self._file.close()
        self._partial.unlink(missing_ok=True)
        self._pool.shutdown()

    def _add(self, path: str, stream: IO[bytes], size: int, mode: int, changed: float) -> FileEntry:
        member = tarfile.TarInfo(CONTENT_PREFIX + path)
        member.size, member.mode, member.mtime = size, mode, int(changed)
        hashed = _Hashed(stream, self._pool, self._on_bytes)
        self._tar.addfile(member, hashed)
        return FileEntry(path, size, mode, hashed.hexdigest())

    def _add_json(self, name: str, body: dict[str, Any]) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(data))


class ArchiveReader:
    """Reads a backup. Raises BackupRefused when it is none, is cut off, or was made by a newer version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._tar = tarfile.open(path, mode="r:")  # noqa: SIM115 - closed by `close`
            self._members = self._tar.getmembers()
        except FileNotFoundError as error:
            raise BackupRefused(f"没有备份文件 {path}") from error
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BackupRefused(f"{path} 不是备份文件，或已损坏：{error}") from error
        self.manifest = self._read_manifest()

    def close(self) -> None:
        """Closes the file."""
        self._tar.close()

    def files(self, on_bytes: OnBytes) -> Iterator[tuple[FileEntry, Callable[[IO[bytes] | None], None]]]:
        """Each file with a function that copies it to a stream (or nowhere) and checks it.

        The function raises BackupRefused when the content is not what the manifest says.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="backup-digest") as pool:
            for member in self._members:
                if member.name.startswith(CONTENT_PREFIX):
                    entry = self.manifest.files[member.name.removeprefix(CONTENT_PREFIX)]

                    def copy(out: IO[bytes] | None, member: tarfile.TarInfo = member, entry: FileEntry = entry) -> None:
                        self._copy(member, entry, out, pool, on_bytes)

                    yield entry, copy

    def _copy(
        self,
        member: tarfile.TarInfo,
        entry: FileEntry,
        out: IO[bytes] | None,
        pool: ThreadPoolExecutor,
        on_bytes: OnBytes,
    ) -> None:
        stream = self._tar.extractfile(member)
        assert stream is not None
        hashed = _Hashed(stream, pool, on_bytes)
        try:
            while chunk := hashed.read():
                if out is not None:
                    out.write(chunk)
        except tarfile.ReadError as error:
            raise BackupRefused(f"备份文件 {self._path} 被截断：读不到 {entry.path}") from error
        if hashed.hexdigest() != entry.sha256:
            raise BackupRefused(f"备份文件 {self._path} 已损坏：{entry.path} 的内容与清单不符")

    def _read_manifest(self) -> Manifest:
        header = self._json(HEADER_NAME, 0)
        if header.get("format") != FORMAT:
            raise BackupRefused(
                f"{self._path} 的备份格式是 {header.get('format')}，本版本只认 {FORMAT}；请用制作它的版本恢复"
            )
        try:
            manifest = Manifest.from_json(self._json(MANIFEST_NAME, -1))
        except (KeyError, TypeError, ValueError) as error:
            raise BackupRefused(f"{self._path} 的清单无法读取：{error}") from error
        self._check_names(manifest)
        return manifest

    def _json(self, name: str, place: int) -> dict[str, Any]:
        if not self._members or self._members[place].name != name:
            raise BackupRefused(f"{self._path} 不是完整的备份：缺少 {name}，可能没有写完或被截断")
        stream = self._tar.extractfile(self._members[place])
        assert stream is not None
        try:
            body: dict[str, Any] = json.load(stream)
        except (ValueError, tarfile.ReadError) as error:
            raise BackupRefused(f"{self._path} 的 {name} 已损坏：{error}") from error
        return body

    def _check_names(self, manifest: Manifest) -> None:
        held = [
            member.name.removeprefix(CONTENT_PREFIX)
            for member in self._members
            if member.name.startswith(CONTENT_PREFIX)
        ]
        if sorted(held) != sorted(manifest.files):
            raise BackupRefused(
                f"{self._path} 的内容与清单不符：清单 {len(manifest.files)} 个文件，实有 {len(held)} 个"
            )
        for member in self._members:
            parts = Path(member.name).parts
            if not member.isreg() or ".." in parts or member.name.startswith("/"):
                raise BackupRefused(f"{self._path} 含有不该有的成员 {member.name[:200]}")
