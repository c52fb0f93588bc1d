"""Immutable objects with checksums: a folder by default, an S3 server in a cluster, one contract for both."""

from brain_kit.objects.contract import ObjectInfo, ObjectStore, Part, Source, Upload
from brain_kit.objects.errors import (
    ChecksumMismatch,
    InvalidKey,
    KeyInUse,
    ObjectCorrupt,
    ObjectExists,
    ObjectNotFound,
    StoreFull,
    StoreUnavailable,
)
from brain_kit.objects.folder import FolderStore
from brain_kit.objects.opening import create_bucket, open_store
from brain_kit.objects.s3 import S3Store

__all__ = [
    "ChecksumMismatch",
    "FolderStore",
    "InvalidKey",
    "KeyInUse",
    "ObjectCorrupt",
    "ObjectExists",
    "ObjectInfo",
    "ObjectNotFound",
    "ObjectStore",
    "Part",
    "S3Store",
    "Source",
    "StoreFull",
    "StoreUnavailable",
    "Upload",
    "create_bucket",
    "open_store",
]
