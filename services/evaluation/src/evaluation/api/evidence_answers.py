"""Evidence as a download: always saved, never shown, so that a file cannot act in this site's name."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator
from typing import Any, BinaryIO
from urllib.parse import quote

from brain_kit.streaming import ClosingStream
from fastapi import Response

CHUNK_BYTES = 1 << 18


def evidence_answer(row: Any, stream: BinaryIO) -> Response:
    """Streams the file with its digest in the headers."""

    def chunks() -> Generator[bytes, None, None]:
        with stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    headers = {
        "Content-Disposition": disposition(row.filename),
        "Content-Length": str(row.size),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Repr-Digest": f"sha-256=:{_base64(row.sha256)}:",
        "ETag": f'"{row.sha256}"',
    }
    return ClosingStream(chunks(), media_type=row.media_type, headers=headers)


def disposition(filename: str) -> str:
    """An attachment under a name that may be Chinese (RFC 6266)."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()
