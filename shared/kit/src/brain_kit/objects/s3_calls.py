"""Calls to an S3 server: one signed connection pool, and what its refusals mean here."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

import certifi
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import BaseHTTPResponse, PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from brain_kit.objects.errors import KeyInUse, ObjectExists, ObjectNotFound, RangePastEnd, StoreFull, StoreUnavailable
from brain_kit.problems import Problem

_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "StorageFull", "NoSpaceLeft"}
_MISSING = {"NoSuchKey", "NoSuchUpload", "NoSuchVersion"}
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_NESTED = {"ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject"}
_REFUSED = {"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidArgument.Credential"}


@dataclass(frozen=True)
class S3Address:
    """Where a bucket is and with which key pair; its text form leaves the secret out."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    secure: bool = True
    cache_bytes: int = 8 * 1024**3

    @property
    def url(self) -> str:
        """The endpoint as a URL, without credentials."""
        return f"{'https' if self.secure else 'http'}://{self.endpoint}"


def parse_address(url: str) -> S3Address:
    """Read s3://ACCESS:SECRET@host:port/bucket?region=us-east-1&secure=false&cache_mib=8192.

    Access key and secret are percent-decoded. Raises ValueError, which never repeats the URL.
    """
    parts = urlsplit(url)
    bucket = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.hostname or not parts.username or not parts.password:
        raise ValueError("object store URL: expected s3://ACCESS:SECRET@host:port/bucket")
    if "/" in bucket or len(bucket) < 3:
        raise ValueError("object store URL: expected one bucket name of 3 characters or more after the host")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = set(options) - {"region", "secure", "cache_mib"}
    if unknown:
        raise ValueError(f"object store URL: unknown options {sorted(unknown)}; known: region, secure, cache_mib")
    return S3Address(
        endpoint=parts.netloc.rpartition("@")[2],
        bucket=bucket,
        access_key=unquote(parts.username),
        secret_key=unquote(parts.password),
        region=options.get("region", "us-east-1"),
        secure=options.get("secure", "true").lower() not in {"false", "0", "no"},
        cache_bytes=int(options.get("cache_mib", "8192")) * 1024**2,
    )


class S3Calls:
    """Signed requests to one bucket. Safe among threads; after a fork make a new one."""

    def __init__(self, address: S3Address, *, connect_s: float = 5, read_s: float = 30, retries: int = 3) -> None:
        self.address = address
        pool = PoolManager(
            timeout=Timeout(connect=connect_s, read=read_s),
            maxsize=32,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
            # A refused connection is tried again at once; a silent server only once more: callers wait for the answer.
            retries=Retry(
                total=retries,
                read=min(retries, 1),
                backoff_factor=0.1,
                status_forcelist=(500, 502, 503, 504),
                raise_on_status=False,
            ),
        )
        self.client = Minio(
            address.endpoint,
            access_key=address.access_key,
            secret_key=address.secret_key,
            region=address.region,
            secure=address.secure,
            http_client=pool,
        )

    def call(
        self,
        method: str,
        key: str | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        """One request; the answer has status 2xx, else an error of brain_kit.objects is raised.

        minio's public methods know no conditional requests, hence its `_execute`.
        """
        with self.errors(key or ""):
            return self.client._execute(
                method,
                self.address.bucket,
                key,
                body=body,
                headers=dict(headers or {}),
                query_params=dict(query or {}),
                preload_content=not stream,
                no_body_trace=True,
            )

    def make_bucket(self) -> bool:
        """Create the bucket; False when it exists and is ours."""
        with self.errors():
            if self.client.bucket_exists(self.address.bucket):
                return False
            try:
                self.client.make_bucket(self.address.bucket, self.address.region)
            except S3Error as error:
                if error.code != "BucketAlreadyOwnedByYou":
                    raise
                return False
        return True

    @contextmanager
    def errors(self, key: str = "") -> Iterator[None]:
        """Turn errors of the client and the network into those of this module."""
        try:
            yield
        except S3Error as error:
            raise self._meaning(error, key) from error
        except (ServerError, InvalidResponseError) as error:
            status = getattr(error, "status_code", None) or getattr(error, "_code", None)
            raise self._of_status(status, key) from error
        except (HTTPError, OSError) as error:
            raise self.unavailable(f"无法连接（{_reason(error)}）") from error

    def unavailable(self, reason: str) -> StoreUnavailable:
        """The error for a server that does not serve us; names the endpoint, never the secret."""
        where = f"{self.address.url}/{self.address.bucket}"
        return StoreUnavailable(f"对象存储 {where} 不可用：{reason}，请检查服务后重试。", endpoint=where)

    def _meaning(self, error: S3Error, key: str) -> Problem:
        code = error.code or ""
        if code in _MISSING:
            return ObjectNotFound(f"对象 {key} 不存在。", key=key)
        if code in _TAKEN:
            return ObjectExists(f"对象 {key} 已存在，未改动。", key=key)
        if code in _NESTED:
            return KeyInUse(f"对象键 {key} 与已有对象键互为上下级，请换一个键。", key=key)
        if code in _FULL:
            return StoreFull(f"对象存储 {self.address.url} 空间已满，请清理或扩容后重试。", endpoint=self.address.url)
        if code == "InvalidRange":
            return RangePastEnd(f"起点在对象 {key} 末尾之后。", key=key)
        if code == "NoSuchBucket":
            return self.unavailable(f"存储桶 {self.address.bucket} 不存在")
        if code in _REFUSED:
            return self.unavailable(f"访问密钥被拒绝（{code}）")
        return self.unavailable(f"服务返回 {code or error.response.status}")

    def _of_status(self, status: Any, key: str) -> Problem:
        if status == 412:
            return ObjectExists(f"对象 {key} 已存在，未改动。", key=key)
        if status == 507:
            return StoreFull(f"对象存储 {self.address.url} 空间已满，请清理或扩容后重试。", endpoint=self.address.url)
        return self.unavailable(f"服务返回 HTTP {status}")


def completion_xml(etags: list[str]) -> bytes:
    """The body of CompleteMultipartUpload for parts 1, 2, ..."""
    root = Element("CompleteMultipartUpload")
    for number, etag in enumerate(etags, start=1):
        part = SubElement(root, "Part")
        SubElement(part, "PartNumber").text = str(number)
        SubElement(part, "ETag").text = f'"{etag}"'
    return tostring(root)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None)
    return type(cause if isinstance(cause, Exception) else error).__name__
