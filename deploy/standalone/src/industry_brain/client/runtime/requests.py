"""From a call to a request, and whether it may be sent again: all that needs no connection."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

# bytes and text as they are, a Path or open file is read while it is sent, anything else becomes JSON.
Content = bytes | str | Path | BinaryIO | Iterable[bytes] | AsyncIterable[bytes] | list[Any] | dict[str, Any]

JSON = "application/json"
MOST_TRIES = 4
FIRST_WAIT_S, MOST_WAIT_S = 0.25, 20.0
SAFE = frozenset({"GET", "HEAD"})
REPEATABLE = frozenset({"PUT", "DELETE"})


@dataclass(frozen=True)
class Operation:
    """An operation of the document."""

    id: str
    method: str
    path: str


@dataclass(frozen=True)
class Call:
    """A request: `target` is path and query, `body` what was given, `length` its size where it is known."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any = None

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        if self.method in SAFE or "Idempotency-Key" in self.headers:
            return True
        return self.method in REPEATABLE and "If-Match" not in self.headers

    @property
    def is_replayable(self) -> bool:
        """Whether the body can be sent a second time."""
        return self.body is None or isinstance(self.body, (bytes, Path))

    def wait_before_retry(self, tries: int, status: int, retry_after_s: float | None) -> float | None:
        """Seconds until the next try; None when there shall be none. status 0: the connection failed.

        429 means that nothing was done, so any call may come again then; after other failures only an idempotent one.
        """
        may = status == 429 or (status in (0, 502, 503, 504) and self.is_idempotent)
        if not may or not self.is_replayable or tries >= MOST_TRIES:
            return None
        wait_s = FIRST_WAIT_S * 2 ** (tries - 1) * (0.5 + random.random())  # noqa: S311 - spreads callers, no secret
        wait_s = max(wait_s, retry_after_s or 0.0)
        return wait_s if wait_s <= MOST_WAIT_S else None


def prepare(
    operation: Operation,
    *,
    path: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    content: Any = None,
    content_type: str = "",
    accept: str = JSON,
) -> Call:
    """The request of a call; parameters that are None are left out."""
    target = operation.path
    for name, value in (path or {}).items():
        target = target.replace("{" + name + "}", quote(str(value), safe=""))
    given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
    if given:
        target += "?" + urlencode(given, doseq=True)
    sent = {name: str(value) for name, value in (headers or {}).items() if value is not None}
    sent["Accept"] = accept
    body = content
    if content is not None:
        sent["Content-Type"] = content_type or JSON
        body = _body(content, sent)
    return Call(operation.method, target, sent, body)


def new_idempotency_key() -> str:
    """A key under which a repeated push counts once."""
    return uuid.uuid4().hex


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_text(item) for item in value] if isinstance(value, (list, tuple)) else value


def _body(content: Any, headers: dict[str, str]) -> Any:
    if isinstance(content, (list, dict)):
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, Path):
        headers["Content-Length"] = str(os.stat(content).st_size)
    return content
