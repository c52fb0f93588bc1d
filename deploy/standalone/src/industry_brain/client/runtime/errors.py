"""Errors of calls, typed by what a caller can do about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class BrainError(Exception):
    """The platform refused a call. `code` is stable; `problem` is the whole problem+json object (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.problem = dict(problem)
        self.retry_after_s = retry_after_s
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))

    @property
    def code(self) -> str:
        """The stable code, such as `key_revoked`."""
        return str(self.problem.get("code", f"http_{self.status}"))

    @property
    def request_id(self) -> str:
        """What to tell the operator."""
        return str(self.problem.get("request_id", ""))

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Wrong fields: {field, reason, value}; empty when the error is no matter of fields."""
        return list(self.problem.get("errors") or [])

    def __str__(self) -> str:
        return f"{self.args[0]} [{self.status} {self.code} {self.request_id}]".replace(" ]", "]")


class Unauthenticated(BrainError):
    """The key or token is missing, wrong, expired or revoked."""


class NotPermitted(BrainError):
    """The caller's role does not allow it."""


class NotFound(BrainError):
    """There is nothing there, or nothing that the caller may know of."""


class Conflict(BrainError):
    """The state of the object does not allow the change (409), or it was changed meanwhile (412, 428)."""


class InvalidInput(BrainError):
    """The input is not what is asked for; `errors` names the fields."""


class TooLarge(BrainError):
    """The body is over a limit: send it in parts."""


class RateLimited(BrainError):
    """Too many requests or a used-up quota; `retry_after_s` says when to come again."""


class Unavailable(BrainError):
    """A part of the platform does not answer; the same call may succeed later."""


class Unreachable(Unavailable):
    """Nothing answers at the address, or the connection broke."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, {"code": "unreachable", "detail": reason})


class WaitedTooLong(BrainError):
    """The wait ended before the work did; it goes on. `problem["last"]` is its last known state."""

    def __init__(self, what: str, seconds: float, last: Any) -> None:
        super().__init__(0, {"code": "waited_too_long", "detail": f"{what}: {seconds:g} s", "last": last})


_BY_STATUS: dict[int, type[BrainError]] = {
    400: InvalidInput, 401: Unauthenticated, 403: NotPermitted, 404: NotFound, 409: Conflict, 412: Conflict,
    413: TooLarge, 415: InvalidInput, 422: InvalidInput, 428: Conflict, 429: RateLimited, 502: Unavailable,
    503: Unavailable, 504: Unavailable,
}  # fmt: skip


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> BrainError:
    """The error that an answer carries; header names are lower-case."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {"detail": body[:200].decode("utf-8", "replace")}
    if not isinstance(problem, dict):
        problem = {"detail": str(problem)[:200]}
    wait = headers.get("retry-after", "")
    kind = _BY_STATUS.get(status, BrainError)
    return kind(status, problem, float(wait) if wait.isdigit() else None)
