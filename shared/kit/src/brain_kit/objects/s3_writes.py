"""Writing to a bucket: one request for a small object, parts for a large one, always with its SHA-256."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote
from uuid import uuid4
from xml.etree import ElementTree

from brain_kit.objects.cache import LocalCopies
from brain_kit.objects.contract import ObjectInfo, Source
from brain_kit.objects.errors import KeyInUse, ObjectExists, ObjectNotFound, folder_errors
from brain_kit.objects.s3_calls import S3Calls, completion_xml
from brain_kit.objects.streams import copy, digest_of, opened, require_digest
from brain_kit.problems import Problem

PART_BYTES = 8 * 1024 * 1024
SHA256_HEADER = "x-amz-meta-sha256"

_WRITER_HEADER = "x-amz-meta-writer"
_CONDITION = "If-None-Match"
_MAX_PARTS = 10_000


class S3Writer:
    """Writes objects through `calls`; long streams are spooled in the folder of `copies`."""

    def __init__(self, calls: S3Calls, copies: LocalCopies) -> None:
        self._calls = calls
        self._copies = copies

    def write(self, key: str, data: Source, headers: Mapping[str, str], declared: str | None) -> ObjectInfo:
        """Store `data`; a header If-None-Match makes it conditional. Raises ObjectExists, ChecksumMismatch."""
        writer = uuid4().hex
        headers = {**headers, _WRITER_HEADER: writer}
        try:
            with opened(data) as source:
                return self._send(key, source, data if isinstance(data, Path) else None, headers, declared)
        except ObjectExists:
            # The first try may have won and its answer been lost on the way: then the retry met our own object.
            found = self._headers(key)
            if found is None:
                raise self._calls.unavailable("同一对象键的另一次写入尚未结束") from None
            if found.get(_WRITER_HEADER) != writer:
                raise
            return _info(key, int(found["Content-Length"]), found, found.get(SHA256_HEADER))

    def join(self, key: str, parts: Sequence[str], headers: Mapping[str, str], digest: str) -> ObjectInfo:
        """Make the object `key` of staged objects inside the server."""
        with self._upload(key, {**headers, SHA256_HEADER: digest}) as upload_id:
            etags = [self._copy_part(key, upload_id, number, part) for number, part in enumerate(parts, start=1)]
            self._finish(key, upload_id, etags, {})
        info = self.describe(key)
        if info is None:
            raise ObjectNotFound(f"对象 {key} 刚写入即被删除。", key=key)
        return info

    def describe(self, key: str) -> ObjectInfo | None:
        """What the server knows about the object, or None."""
        headers = self._headers(key)
        if headers is None:
            return None
        return _info(key, int(headers["Content-Length"]), headers, headers.get(SHA256_HEADER))

    def _headers(self, key: str) -> Mapping[str, str] | None:
        try:
            return self._calls.call("HEAD", key).headers
        except (ObjectNotFound, KeyInUse):
            return None

    def _send(
        self, key: str, source: BinaryIO, path: Path | None, headers: dict[str, str], declared: str | None
    ) -> ObjectInfo:
        first = _read_fully(source, PART_BYTES)
        if len(first) < PART_BYTES:
            digest, size = digest_of(io.BytesIO(first))
            require_digest(key, declared, digest)
            response = self._calls.call("PUT", key, body=first, headers={**headers, SHA256_HEADER: digest})
            return _info(key, size, response.headers, digest)
        if path is not None:
            with path.open("rb") as stream:
                digest, size = digest_of(stream)
                stream.seek(0)
                require_digest(key, declared, digest)
                return self._send_parts(key, cast(BinaryIO, stream), size, headers, digest)
        return self._spool(key, first, source, headers, declared)

    def _spool(
        self, key: str, first: bytes, source: BinaryIO, headers: dict[str, str], declared: str | None
    ) -> ObjectInfo:
        temporary = self._copies.temporary()
        try:
            with temporary.open("x+b") as spool:
                with folder_errors(self._copies.folder, key):
                    spool.write(first)
                    copy(source, cast(BinaryIO, spool))
                spool.seek(0)
                digest, size = digest_of(cast(BinaryIO, spool))
                require_digest(key, declared, digest)
                spool.seek(0)
                return self._send_parts(key, cast(BinaryIO, spool), size, headers, digest)
        finally:
            temporary.unlink(missing_ok=True)

    def _send_parts(self, key: str, source: BinaryIO, size: int, headers: Mapping[str, str], digest: str) -> ObjectInfo:
        part_bytes = max(PART_BYTES, -(-size // _MAX_PARTS))
        begin = {name: value for name, value in headers.items() if name != _CONDITION}
        condition = {name: value for name, value in headers.items() if name == _CONDITION}
        with self._upload(key, {**begin, SHA256_HEADER: digest}) as upload_id:
            etags: list[str] = []
            while chunk := _read_fully(source, part_bytes):
                query = {"partNumber": str(len(etags) + 1), "uploadId": upload_id}
                answer = self._calls.call("PUT", key, body=chunk, query=query)
                etags.append(answer.headers.get("ETag", "").strip('"'))
            answered = self._finish(key, upload_id, etags, condition)
        return _info(key, size, answered, digest)

    @contextmanager
    def _upload(self, key: str, headers: Mapping[str, str]) -> Iterator[str]:
        """A multipart upload of the server; dropped when the block fails."""
        answer = self._calls.call("POST", key, headers=headers, query={"uploads": ""})
        upload_id = _element(answer.data, "UploadId")
        try:
            yield upload_id
        except BaseException:
            with suppress(Problem):
                self._calls.call("DELETE", key, query={"uploadId": upload_id})
            raise

    def _copy_part(self, key: str, upload_id: str, number: int, part: str) -> str:
        source = quote(f"/{self._calls.address.bucket}/{part}")
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = self._calls.call("PUT", key, headers={"x-amz-copy-source": source}, query=query)
        return _element(answer.data, "ETag").strip('"')

    def _finish(self, key: str, upload_id: str, etags: list[str], condition: Mapping[str, str]) -> Mapping[str, str]:
        headers = {"Content-Type": "application/xml", **condition}
        answer = self._calls.call(
            "POST", key, body=completion_xml(etags), headers=headers, query={"uploadId": upload_id}
        )
        # S3 may answer 200 and put an error into the body when joining fails late.
        etag = _element(answer.data, "ETag").strip('"')
        if not etag:
            raise self._calls.unavailable(f"合并分片失败（{_element(answer.data, 'Code') or '无说明'}）")
        return {**answer.headers, "ETag": etag}


def _read_fully(source: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes; fewer only at the end, also from streams that give short reads."""
    chunks = []
    while size > 0 and (chunk := source.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _element(document: bytes, name: str) -> str:
    """The text of the first element of this name, in any namespace; "" when there is none."""
    found = ElementTree.fromstring(document).find(f".//{{*}}{name}")  # noqa: S314  the signed server's own answer
    return (found.text or "") if found is not None else ""


def _info(key: str, size: int, headers: Mapping[str, str], digest: str | None) -> ObjectInfo:
    stamp = headers.get("Last-Modified") or headers.get("Date")
    written = parsedate_to_datetime(stamp) if stamp else datetime.now(UTC)
    return ObjectInfo(key, size, headers.get("ETag", "").strip('"'), digest, written)
