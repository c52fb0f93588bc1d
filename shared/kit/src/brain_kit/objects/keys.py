"""Keys of objects: relative paths that mean the same thing in a folder and in a bucket."""

import re

from brain_kit.objects.errors import InvalidKey

MAX_KEY_BYTES = 900
MAX_SEGMENT_BYTES = 240
RESERVED = "."

# "?" and "#" would be cut off when Iceberg parses a location as a URL; a backslash and control characters are
# legal on some file systems and not on others.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\?#]")


def check_key(key: str) -> str:
    """Return `key` when it is valid, else raise InvalidKey saying what is wrong.

    A key is one or more segments joined by "/", none empty, "." or "..", the first not starting with "."
    (the store's own files live there), at most 900 bytes of UTF-8 and 240 per segment.
    """
    reason = _fault(key)
    if reason:
        raise InvalidKey(f"对象键无效：{reason}。", key=key[:200])
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` when a valid key can start with it, else raise InvalidKey."""
    segments = prefix.split("/")
    if prefix.startswith(("/", RESERVED)) or _FORBIDDEN.search(prefix) or ".." in segments or "" in segments[:-1]:
        raise InvalidKey("对象键前缀无效：须为键的开头部分，不以 / 或 . 开头，不含 .. 与控制字符。", key=prefix[:200])
    return prefix


def is_reserved(key: str) -> bool:
    """Whether the key belongs to the store itself (parts of uploads, checksums, temporary files)."""
    return key.startswith(RESERVED)


def _fault(key: str) -> str:
    segments = key.split("/")
    if not key:
        return "不能为空"
    if "" in segments:
        return "不能以 / 开头或结尾，也不能含有 //"
    if "." in segments or ".." in segments:
        return "不能含有 . 或 .. 段"
    if is_reserved(key):
        return "不能以 . 开头（保留给存储自身）"
    if _FORBIDDEN.search(key):
        return "不能含有控制字符、反斜杠、? 或 #"
    return _length_fault(key, segments)


def _length_fault(key: str, segments: list[str]) -> str:
    try:
        sizes = [len(segment.encode()) for segment in segments]
    except UnicodeEncodeError:
        return "不是有效的 Unicode 文本"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"长度超过 {MAX_KEY_BYTES} 字节"
    if max(sizes) > MAX_SEGMENT_BYTES:
        return f"其中一段超过 {MAX_SEGMENT_BYTES} 字节"
    return ""
