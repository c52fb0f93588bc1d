"""Objects as plain files in a folder: the embedded default, easy to back up and to read with any tool."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from brain_kit.objects.contract import BINARY, ObjectInfo, Source, Upload
from brain_kit.objects.errors import InvalidKey, KeyInUse, ObjectExists, ObjectNotFound, folder_errors
from brain_kit.objects.keys import check_key, check_prefix
from brain_kit.objects.ledger import ChecksumLedger, fsync_folder, make_folders
from brain_kit.objects.roots import key_under, remember_root
from brain_kit.objects.streams import CHUNK_BYTES, Window, checked, digest_of, opened, require_digest
from brain_kit.objects.uploads import begin_upload, concatenated, discard_before, resume_upload

_STALE_TEMPORARY_S = 24 * 3600
_PLACE_ATTEMPTS = 10


class FolderStore:
    """The object store over one folder; any number of threads and processes may use it at once.

    A write goes to a temporary file, is forced to disk, then appears under its key in one step. `root` is created
    when missing. Raises ValueError when its path cannot be part of a URL.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if set("?#\\") & set(str(self.root)):
            raise ValueError(f"the object folder must not contain ?, # or a backslash: {self.root}")
        self._temporary = self.root / ".tmp"
        with folder_errors(self.root):
            make_folders(self._temporary)
            self._ledger = ChecksumLedger(self.root, self._temporary)
            self._roots = remember_root(self.root, self._temporary)
            self._sweep()

    def __repr__(self) -> str:
        return f"FolderStore({str(self.root)!r})"

    def put(
        self,
        key: str,
        data: Source,
        *,
        if_absent: bool = False,
        content_type: str = BINARY,
        sha256: str | None = None,
    ) -> ObjectInfo:
        """See contract.ObjectStore."""
        return self._store(check_key(key), data, if_absent=if_absent, sha256=sha256)

    def put_file(self, key: str, path: Path, *, if_absent: bool = False, sha256: str | None = None) -> ObjectInfo:
        """See contract.ObjectStore."""
        return self._store(check_key(key), path, if_absent=if_absent, sha256=sha256)

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """See contract.ObjectStore."""
        return self._open(check_key(key), offset, length)

    def get(self, key: str) -> bytes:
        """See contract.ObjectStore."""
        with self.open(key) as stream:
            return stream.read()

    def head(self, key: str) -> ObjectInfo | None:
        """See contract.ObjectStore."""
        return self.describe_staged(check_key(key))

    def delete(self, key: str) -> None:
        """See contract.ObjectStore."""
        self.unstage(check_key(key))

    def list(self, prefix: str = "", start_after: str = "", limit: int = 1000) -> Iterator[ObjectInfo]:
        """See contract.ObjectStore."""
        check_prefix(prefix)
        yield from islice(self._walk("", prefix, start_after), limit)

    def multipart(self, key: str, *, content_type: str = BINARY, sha256: str | None = None) -> Upload:
        """See contract.ObjectStore."""
        return begin_upload(self, check_key(key), content_type, sha256)

    def resume(self, key: str, upload_id: str) -> Upload:
        """See contract.ObjectStore."""
        return resume_upload(self, check_key(key), upload_id)

    def discard_uploads(self, before: datetime) -> int:
        """See contract.ObjectStore."""
        return discard_before(self, before)

    def local_path(self, key: str) -> Path:
        """The object's own file."""
        path = self._path(check_key(key))
        if not path.is_file():
            raise _missing(key)
        return path

    def sync(self, key: str) -> None:
        """See contract.ObjectStore."""
        path = self.local_path(key)
        with folder_errors(self.root, key):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            while path != self.root:
                path = path.parent
                fsync_folder(path)

    def location(self, key: str) -> str:
        """See contract.ObjectStore."""
        return f"file://{self._path(check_key(key))}"

    def key_of(self, location: str) -> str:
        """See contract.ObjectStore. Addresses from before the folder was moved or restored are known too."""
        key = key_under(location, reversed(self._roots))
        if key is None:
            raise InvalidKey("位置不在本对象存储内。", location=location[:300])
        return check_key(key)

    def iceberg_properties(self) -> dict[str, str]:
        """See contract.ObjectStore."""
        return {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}

    def ping(self) -> None:
        """See contract.ObjectStore."""
        with folder_errors(self.root):
            probe = self._temporary / uuid4().hex
            try:
                with self._create(probe) as out:
                    out.write(b"\0" * 4096)
                    os.fsync(out.fileno())
            finally:
                _discard(probe)

    # Staging: the same operations on reserved keys.

    def stage(self, key: str, data: Source, sha256: str | None) -> ObjectInfo:
        """See uploads.Staging."""
        return self._store(key, data, if_absent=False, sha256=sha256)

    def staged(self, prefix: str) -> Iterator[ObjectInfo]:
        """See uploads.Staging."""
        yield from self._walk(prefix, prefix, "")

    def open_staged(self, key: str) -> BinaryIO:
        """See uploads.Staging."""
        return self._open(key, 0, None)

    def describe_staged(self, key: str) -> ObjectInfo | None:
        """See uploads.Staging."""
        path = self._path(key)
        try:
            with folder_errors(self.root, key):
                status = path.stat()
                recorded = self._ledger.read(key)
                digest = recorded[0] if len(recorded) == 1 else self._settle(key, path) if recorded else None
        except (FileNotFoundError, KeyInUse):
            return None
        return None if stat.S_ISDIR(status.st_mode) else _info(key, status, digest)

    def unstage(self, key: str) -> None:
        """See uploads.Staging."""
        path = self._path(key)
        with folder_errors(self.root, key), self._ledger.locked(key), suppress(FileNotFoundError):
            if not path.is_dir():
                path.unlink()
                fsync_folder(path.parent)
            self._ledger.forget(key)
            self._prune(path.parent)

    def assemble(self, key: str, parts: Sequence[str], content_type: str, sha256: str | None) -> ObjectInfo:
        """See uploads.Staging."""
        del content_type
        with concatenated([partial(self.open_staged, part) for part in parts]) as stream:
            return self._store(key, stream, if_absent=False, sha256=sha256)

    # Inside.

    def _path(self, key: str) -> Path:
        return self.root / key

    def _store(self, key: str, data: Source, *, if_absent: bool, sha256: str | None) -> ObjectInfo:
        target = self._path(key)
        if if_absent and target.is_file():
            raise _exists(key)
        temporary = self._temporary / uuid4().hex
        try:
            digest = self._receive(key, data, temporary)
            require_digest(key, sha256, digest)
            with folder_errors(self.root, key), self._ledger.locked(key):
                self._publish(key, temporary, digest, if_absent=if_absent)
                return _info(key, target.stat(), digest)
        finally:
            _discard(temporary)

    def _receive(self, key: str, data: Source, temporary: Path) -> str:
        # An error of the source is the caller's; only errors of the folder are translated.
        digest = hashlib.sha256()
        with opened(data) as source, self._create(temporary) as out:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                with folder_errors(self.root, key):
                    out.write(chunk)
            with folder_errors(self.root, key):
                os.fsync(out.fileno())
        return digest.hexdigest()

    def _create(self, temporary: Path) -> BinaryIO:
        with folder_errors(self.root):
            try:
                return cast(BinaryIO, temporary.open("xb", buffering=0))
            except FileNotFoundError:
                raise OSError(None, "folder has been removed") from None

    def _publish(self, key: str, temporary: Path, digest: str, *, if_absent: bool) -> None:
        target = self._path(key)
        if target.is_dir():
            raise KeyInUse(f"对象键 {key} 是其他对象键的上级，请换一个键。", key=key)
        before = tuple(other for other in self._ledger.read(key) if other != digest) if target.exists() else ()
        if if_absent and target.exists():
            raise _exists(key)
        self._ledger.write(key, (*before, digest))
        try:
            self._place(key, temporary, target, if_absent=if_absent)
        except FileExistsError:
            raise _exists(key) from None
        if before:
            self._ledger.write(key, (digest,))

    def _place(self, key: str, temporary: Path, target: Path, *, if_absent: bool) -> None:
        for attempt in range(_PLACE_ATTEMPTS):
            try:
                make_folders(target.parent)
            except FileExistsError:
                raise KeyInUse(f"对象键 {key} 位于已有对象键之下，请换一个键。", key=key) from None
            try:
                if if_absent:
                    os.link(temporary, target)
                else:
                    os.replace(temporary, target)
                fsync_folder(target.parent)
                return
            except FileNotFoundError:
                # A `delete` beside us removed the empty parent between the two calls.
                if attempt == _PLACE_ATTEMPTS - 1:
                    raise

    def _open(self, key: str, offset: int, length: int | None) -> BinaryIO:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length must not be negative")
        try:
            with folder_errors(self.root, key):
                recorded = self._ledger.read(key)
                stream = cast(BinaryIO, self._path(key).open("rb", buffering=0))
        except (FileNotFoundError, KeyInUse):
            raise _missing(key) from None
        stream.seek(offset)
        if length is not None:
            return checked(key, cast(BinaryIO, Window(stream, length)), None)
        whole = offset == 0 and recorded
        return checked(key, stream, partial(self._damage, key, recorded) if whole else None)

    def _damage(self, key: str, recorded: tuple[str, ...], actual: str) -> str | None:
        # Read again: an overwrite may have happened between reading the record and opening the file.
        if actual in recorded or actual in self._ledger.read(key):
            return None
        return recorded[-1]

    def _settle(self, key: str, path: Path) -> str:
        """After a crash in an overwrite: find which of the two digests holds, and keep that one."""
        with self._ledger.locked(key):
            recorded = self._ledger.read(key)
            with path.open("rb") as stream:
                actual, _ = digest_of(stream)
            if actual in recorded:
                self._ledger.write(key, (actual,))
                return actual
            return recorded[-1]

    def _walk(self, folder: str, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self._path(folder)) as entries:
                names = [entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return
        after = start_after.encode()
        for name in sorted(names, key=str.encode):
            key = folder + name
            if not folder and name.startswith("."):
                continue
            if name.endswith("/"):
                if (key.startswith(prefix) or prefix.startswith(key)) and _reaches(key.encode(), after):
                    yield from self._walk(key, prefix, start_after)
            elif key.startswith(prefix) and key.encode() > after:
                with suppress(FileNotFoundError):
                    yield _info(key, self._path(key).stat(), None)

    def _prune(self, folder: Path) -> None:
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _sweep(self) -> None:
        for entry in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _STALE_TEMPORARY_S:
                    entry.unlink()


def _reaches(folder: bytes, after: bytes) -> bool:
    """Whether a key below `folder` (which ends in "/") can be greater than `after`."""
    return folder > after or after.startswith(folder)


def _info(key: str, status: os.stat_result, digest: str | None) -> ObjectInfo:
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return ObjectInfo(key, status.st_size, etag, digest, datetime.fromtimestamp(status.st_mtime, UTC))


def _discard(temporary: Path) -> None:
    # Its failure must not hide the error that brought us here; the next start sweeps what is left.
    with suppress(OSError):
        temporary.unlink()


def _missing(key: str) -> ObjectNotFound:
    return ObjectNotFound(f"对象 {key} 不存在。", key=key)


def _exists(key: str) -> ObjectExists:
    return ObjectExists(f"对象 {key} 已存在，未改动。", key=key)
