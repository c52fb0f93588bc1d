"""Secrets never reach a log: fields that hold them, and texts that look like them, are masked."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASK = "***"
SECRET_FIELDS = re.compile(
    r"pass(word|wd)?$|secret|token|api[_-]?key|authorization|cookie|credential|private", re.IGNORECASE
)
SECRET_TEXTS = re.compile(
    r"bk_[A-Za-z0-9]+_[A-Za-z0-9_-]+"  # API keys
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"  # JSON Web Tokens
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|(?i:(?<=bearer ))[^\s,;\"']+"
    r"|(?i:(?<=password=)|(?<=token=)|(?<=secret=)|(?<=api_key=))[^&\s\"']+"
)


def mask_text(text: str) -> str:
    """The text with keys, tokens and passwords replaced."""
    return SECRET_TEXTS.sub(MASK, text)


def mask_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that masks an event's fields, however deep."""
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def _masked(name: str, value: Any) -> Any:
    if SECRET_FIELDS.search(name) and value not in (None, ""):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes):
        return mask_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {key: _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    if isinstance(value, BaseException):
        return mask_text(repr(value))
    return value
