"""Reading a request body as a stream: limits by announcement and by count, compression, callers that go away."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import zstandard
from brain_kit.problems import UnsupportedMedia
from starlette.requests import ClientDisconnect, Request

from data_hub.domain.refusals import BodyIncomplete, BodyTooLarge, ContentRefused

UNPACK_BYTES = 1 << 20


class EncodingUnsupported(UnsupportedMedia):
    """The Content-Encoding is none of those that are read."""

    code = "encoding_unsupported"


class Decoder(Protocol):
    """Unpacks a body piece by piece."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What a piece unpacks to, in bounded pieces."""

    def is_complete(self) -> bool:
        """Whether the packed body has come to its end."""


class Gzip:
    """gzip and deflate by zlib."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See Decoder. A body may be several gzip members one after the other."""
        while True:
            piece = self._object.decompress(data, UNPACK_BYTES)
            if piece:
                yield piece
            data = self._object.unconsumed_tail
            if self._object.eof and self._object.unused_data:
                data = self._object.unused_data
                self._object = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            elif not data and len(piece) < UNPACK_BYTES:
                # With all input taken a full piece may still have more behind it.
                return

    def is_complete(self) -> bool:
        """See Decoder."""
        return self._object.eof


class Zstd:
    """Zstandard; the window is bounded, so a few bytes cannot ask for gigabytes."""

    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(write_size=UNPACK_BYTES)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See Decoder. Small bites keep what one of them unpacks to small."""
        for start in range(0, len(data), 4096):
            piece = self._object.decompress(data[start : start + 4096])
            if piece:
                yield piece

    def is_complete(self) -> bool:
        """See Decoder."""
        return bool(self._object.eof)


DECODERS: dict[str, type[Gzip] | type[Zstd]] = {"gzip": Gzip, "x-gzip": Gzip, "deflate": Gzip, "zstd": Zstd}


def announced_bytes(request: Request, limit: int) -> int | None:
    """The length that the request announces. Raises BodyTooLarge before a byte is read."""
    text = request.headers.get("content-length", "")
    announced = int(text) if text.isdigit() else None
    if announced is not None and announced > limit:
        raise _too_large(f"内容有 {announced} 字节", limit)
    return announced


async def body_chunks(request: Request, limit: int, unpacked_limit: int) -> AsyncIterator[bytes]:
    """The unpacked body in pieces.

    Raises BodyTooLarge, BodyIncomplete (the caller went away or sent less than announced), EncodingUnsupported, and
    ContentRefused when the packed data are broken.
    """
    announced = announced_bytes(request, limit)
    decoder = _decoder(request.headers.get("content-encoding", ""))
    came = unpacked = 0
    try:
        async for chunk in request.stream():
            came += len(chunk)
            if came > limit:
                raise _too_large("内容", limit)
            for piece in [chunk] if decoder is None else decoder.feed(chunk):
                unpacked += len(piece)
                if unpacked > unpacked_limit:
                    raise _too_large("内容解开后", unpacked_limit)
                if piece:
                    yield piece
    except ClientDisconnect as error:
        raise _incomplete(came, announced) from error
    except (zlib.error, zstandard.ZstdError) as error:
        raise ContentRefused("malformed_encoding", f"压缩数据损坏（{error}）；请重新压缩后推送") from error
    if announced is not None and came < announced:
        raise _incomplete(came, announced)
    if decoder is not None and came and not decoder.is_complete():
        raise ContentRefused("malformed_encoding", "压缩数据不完整；请重新压缩后推送")


def _decoder(encoding: str) -> Decoder | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in DECODERS:
        raise EncodingUnsupported(f"不支持 Content-Encoding {name[:40]}，可用：gzip、zstd", supported=["gzip", "zstd"])
    return DECODERS[name]()


def _too_large(what: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"{what}超过上限 {limit} 字节；请分成几次推送，或用 Parquet", limit_bytes=limit)


def _incomplete(came: int, announced: int | None) -> BodyIncomplete:
    promised = "" if announced is None else f"，声明有 {announced} 字节"
    return BodyIncomplete(f"内容不完整：收到 {came} 字节{promised}；没有留下任何数据，请重新推送", received_bytes=came)
