"""Reads the protocol buffer wire format field by field, without believing any length that the bytes name.

Encoding: https://protobuf.dev/programming-guides/encoding/. Nothing is copied: a nested message is a view of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10

Value = int | memoryview


class WireBroken(ValueError):
    """The bytes end in the middle of a field, or are no protocol buffer; `at` is the offset within the message."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(f"{reason}（偏移 {at}）")
        self.at = at


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """(field number, wire type, value) of each field; a value is a number or a view. Raises WireBroken."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireBroken("字段号为 0", at)
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind, -1)
        if kind == BYTES:
            size, at = _varint(message, at)
        if size < 0:
            raise WireBroken(f"未知的编码类型 {kind}", at)
        if size > end - at:
            raise WireBroken(f"字段 {number} 声明 {size} 字节，只剩 {end - at} 字节", at)
        yield number, kind, message[at : at + size]
        at += size


def text(value: Value) -> str:
    """A text field; what is no UTF-8 is shown, never refused here."""
    return bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, memoryview) else str(value)


def signed(value: Value) -> int:
    """An int64 field: negative numbers stand as their 64-bit complement."""
    number = int(value) if isinstance(value, int) else 0
    return number - (1 << 64) if number >= 1 << 63 else number


def packed_integers(value: Value) -> Iterator[int]:
    """The numbers of a repeated varint field, packed or single."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield signed(number)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    for place in range(at, min(at + MAX_VARINT_BYTES, len(message))):
        byte = message[place]
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise WireBroken("数值不完整", at)
