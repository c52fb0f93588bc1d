"""From a URL to a store."""

import time
from pathlib import Path

from brain_kit.objects.contract import ObjectStore
from brain_kit.objects.errors import StoreUnavailable
from brain_kit.objects.folder import FolderStore
from brain_kit.objects.s3 import S3Store
from brain_kit.objects.s3_calls import S3Calls, parse_address


def open_store(url: str, home: Path) -> ObjectStore:
    """The store behind `url`; no server is contacted.

    "" is the folder {home}/objects, "file://PATH" another folder, "s3://ACCESS:SECRET@host:port/bucket?region=&
    secure=false&cache_mib=8192" a bucket, whose local copies then lie in {home}/object-cache.
    Raises ValueError for any other URL, without repeating it: it may hold a secret.
    """
    if not url:
        return FolderStore(home / "objects")
    if url.startswith("file://"):
        return FolderStore(Path(url.removeprefix("file://")))
    if url.startswith("s3://"):
        return S3Store(parse_address(url), home / "object-cache")
    raise ValueError("object store URL: expected file://PATH or s3://ACCESS:SECRET@host:port/bucket")


def create_bucket(url: str, *, wait_s: float = 0) -> bool:
    """Make the bucket of an S3 URL unless it exists; False when there was nothing to make, as for a folder.

    A server that does not answer yet is waited for. Raises StoreUnavailable after `wait_s`.
    """
    if not url.startswith("s3://"):
        return False
    calls = S3Calls(parse_address(url), connect_s=2, read_s=10, retries=0)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return calls.make_bucket()
        except StoreUnavailable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)
