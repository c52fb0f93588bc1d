"""Objects in a bucket of an S3 server."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from urllib3 import BaseHTTPResponse

from brain_kit.objects.cache import LocalCopies
from brain_kit.objects.contract import BINARY, ObjectInfo, Source, Upload
from brain_kit.objects.errors import InvalidKey, ObjectNotFound, RangePastEnd
from brain_kit.objects.keys import check_key, check_prefix, is_reserved
from brain_kit.objects.s3_calls import S3Address, S3Calls
from brain_kit.objects.s3_writes import SHA256_HEADER, S3Writer
from brain_kit.objects.streams import checked, copy, digest_of, require_digest
from brain_kit.objects.uploads import begin_upload, concatenated, discard_before, resume_upload


class S3Store:
    """The object store over one bucket, which must exist; no call is made before the first use.

    Each object carries its SHA-256 as user metadata. A stream longer than one part is spooled to local disk
    first, because that metadata travels ahead of the data. `cache` holds the local copies.
    """

    def __init__(self, address: S3Address, cache: Path, *, grace_s: float = 300) -> None:
        self._calls = S3Calls(address)
        self._probe = S3Calls(address, connect_s=2, read_s=3, retries=0)
        self._address = address
        self._copies = LocalCopies(cache, capacity_bytes=address.cache_bytes, grace_s=grace_s)
        self._writer = S3Writer(self._calls, self._copies)

    def __repr__(self) -> str:
        return f"S3Store({self._address.url}/{self._address.bucket})"

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
        headers = {"Content-Type": content_type}
        if if_absent:
            headers["If-None-Match"] = "*"
        info = self._writer.write(check_key(key), data, headers, sha256)
        self._copies.drop(key)
        return info

    def put_file(self, key: str, path: Path, *, if_absent: bool = False, sha256: str | None = None) -> ObjectInfo:
        """See contract.ObjectStore."""
        return self.put(key, path, if_absent=if_absent, sha256=sha256)

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """See contract.ObjectStore."""
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length must not be negative")
        if offset == 0 and length is None:
            return self.open_staged(check_key(key))
        return self._open_range(check_key(key), offset, length)

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
        self._copies.drop(key)

    def list(self, prefix: str = "", start_after: str = "", limit: int = 1000) -> Iterator[ObjectInfo]:
        """See contract.ObjectStore."""
        check_prefix(prefix)
        objects = (info for info in self._scan(prefix, start_after) if not is_reserved(info.key))
        yield from islice(objects, limit)

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
        """See contract.ObjectStore; the file lies in the cache folder."""
        return self._copies.path(check_key(key), partial(self._download, key))

    def sync(self, key: str) -> None:
        """See contract.ObjectStore; the server made it durable when it answered."""
        if self.head(key) is None:
            raise ObjectNotFound(f"对象 {key} 不存在。", key=key)

    def location(self, key: str) -> str:
        """See contract.ObjectStore."""
        return f"s3://{self._address.bucket}/{check_key(key)}"

    def key_of(self, location: str) -> str:
        """See contract.ObjectStore."""
        start = f"s3://{self._address.bucket}/"
        if not location.startswith(start):
            raise InvalidKey("位置不在本对象存储内。", location=location[:300])
        return check_key(location[len(start) :])

    def iceberg_properties(self) -> dict[str, str]:
        """See contract.ObjectStore."""
        return {
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.endpoint": self._address.url,
            "s3.access-key-id": self._address.access_key,
            "s3.secret-access-key": self._address.secret_key,
            "s3.region": self._address.region,
            "s3.connect-timeout": "5",
            "s3.request-timeout": "30",
        }

    def ping(self) -> None:
        """See contract.ObjectStore; a signed HEAD of the bucket."""
        self._probe.call("HEAD")

    # Staging: the same operations on reserved keys.

    def stage(self, key: str, data: Source, sha256: str | None) -> ObjectInfo:
        """See uploads.Staging."""
        return self._writer.write(key, data, {"Content-Type": BINARY}, sha256)

    def staged(self, prefix: str) -> Iterator[ObjectInfo]:
        """See uploads.Staging."""
        yield from self._scan(prefix, "")

    def open_staged(self, key: str) -> BinaryIO:
        """See uploads.Staging."""
        response = self._calls.call("GET", key, stream=True)
        recorded = response.headers.get(SHA256_HEADER)
        accept = partial(_differing, recorded) if recorded else None
        return checked(key, cast(BinaryIO, _Body(self._calls, response)), accept)

    def describe_staged(self, key: str) -> ObjectInfo | None:
        """See uploads.Staging."""
        return self._writer.describe(key)

    def unstage(self, key: str) -> None:
        """See uploads.Staging."""
        with suppress(ObjectNotFound):
            self._calls.call("DELETE", key)

    def assemble(self, key: str, parts: Sequence[str], content_type: str, sha256: str | None) -> ObjectInfo:
        """See uploads.Staging."""
        with concatenated([partial(self.open_staged, part) for part in parts]) as stream:
            digest, _ = digest_of(stream)
        require_digest(key, sha256, digest)
        info = self._writer.join(key, parts, {"Content-Type": content_type}, digest)
        self._copies.drop(key)
        return info

    # Inside.

    def _open_range(self, key: str, offset: int, length: int | None) -> BinaryIO:
        if length == 0:
            if self.head(key) is None:
                raise ObjectNotFound(f"对象 {key} 不存在。", key=key)
            return io.BytesIO()
        end = "" if length is None else str(offset + length - 1)
        try:
            response = self._calls.call("GET", key, headers={"Range": f"bytes={offset}-{end}"}, stream=True)
        except RangePastEnd:
            return io.BytesIO()
        return checked(key, cast(BinaryIO, _Body(self._calls, response)), None)

    def _download(self, key: str, out: BinaryIO) -> None:
        with self.open_staged(key) as stream:
            copy(stream, out)

    def _scan(self, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        pages = self._calls.client.list_objects(
            self._address.bucket, prefix=prefix, recursive=True, start_after=start_after or None
        )
        while True:
            with self._calls.errors(prefix):
                found = next(pages, None)
            if found is None:
                return
            if not found.object_name.endswith("/"):
                yield ObjectInfo(found.object_name, found.size, found.etag, None, found.last_modified)


class _Body(io.RawIOBase):
    """The body of an answer; a broken connection is StoreUnavailable, never a short object."""

    def __init__(self, calls: S3Calls, response: BaseHTTPResponse) -> None:
        self._calls = calls
        self._response = response

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read up to the size of the buffer; 0 at the end."""
        with self._calls.errors():
            chunk = self._response.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        if not self.closed:
            self._response.close()
            self._response.release_conn()
        super().close()


def _differing(recorded: str, actual: str) -> str | None:
    return None if recorded == actual else recorded
