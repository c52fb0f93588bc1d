"""From a URL to a store."""

from pathlib import Path

from brain_kit.objects.contract import ObjectStore
from brain_kit.objects.folder import FolderStore
from brain_kit.objects.s3 import S3Store
from brain_kit.objects.s3_calls import parse_address


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
