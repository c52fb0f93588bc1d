"""Secrets never reach a log: fields that hold them, and texts that look like them, are masked."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASK = "***"
_WORDS = r"pass(?:word|wd)|secret|token|api[_-]?key|authorization|cookie|credential|private[_-]?key|signature"
SECRET_FIELDS = re.compile(_WORDS, re.IGNORECASE)
# What stands for itself: keys, JSON Web Tokens, the password in a URL, what follows Bearer or Basic.
SECRET_TEXTS = re.compile(
    r"bk_[A-Za-z0-9]+_[A-Za-z0-9_-]+"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=basic ))[^\s,;\"']+"
)
# `password=x`, `"token": "x"`, `secret='x y'`: in addresses, JSON, and the text of objects.
SECRET_PAIRS = re.compile(
    rf"""([\w-]*(?:{_WORDS})[\w-]*["']?\s*(?:=|(?<=["'])\s*:)\s*)("[^"]*"|'[^']*'|[^\s&,;)}}\]"']+)""", re.IGNORECASE
)


def mask_text(text: str) -> str:
    """The text with keys, tokens and passwords replaced."""
    return SECRET_PAIRS.sub(rf"\1{MASK}", SECRET_TEXTS.sub(MASK, text))


def mask_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that masks an event's fields, however deep."""
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def _masked(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_FIELDS.search(name) and value != "":
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes):
        return mask_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {key: _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    # Anything else would be written as its text, which may hold secrets: a request body, an address, an error.
    return mask_text(repr(value) if isinstance(value, BaseException) else str(value))
