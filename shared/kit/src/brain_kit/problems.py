"""Errors that a caller can act on, and their RFC 9457 `application/problem+json` form."""

from __future__ import annotations

import math
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """What went wrong, for the caller: a status, a stable code, one sentence, and members that carry the data.

    Subclasses set `status`, `code` and `title`. Further members (such as `errors` or `dataset`) become members of
    the JSON object.
    """

    status: int = 500
    code: str = "internal"
    title: str = "Internal error"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer, such as Retry-After from the member `retry_after_s`."""
        wait = self.members.get("retry_after_s")
        return {"Retry-After": str(max(1, math.ceil(float(wait))))} if wait is not None else {}


class InvalidInput(Problem):
    """The input does not have the form that is asked for."""

    status, code, title = 422, "invalid_input", "Invalid input"


class BadRequest(Problem):
    """The request itself is malformed."""

    status, code, title = 400, "bad_request", "Bad request"


class NotFound(Problem):
    """There is nothing there, or nothing that the caller may know of."""

    status, code, title = 404, "not_found", "Not found"


class Forbidden(NotFound):
    """The object exists but the caller must not learn so; it looks as if it did not."""


class NotPermitted(Problem):
    """The caller's role does not allow the operation."""

    status, code, title = 403, "not_permitted", "Not permitted"


class Conflict(Problem):
    """The state of the object does not allow the change."""

    status, code, title = 409, "conflict", "Conflict"


class WrittenMeanwhile(Conflict):
    """Another request wrote the same object at the same moment; nothing of this one was kept."""

    code, title = "written_meanwhile", "Written meanwhile"
    words = "另一个请求同时写入了同一对象，这一次没有保存；请重新读取后再试"


class Unauthenticated(Problem):
    """There are no valid credentials."""

    status, code, title = 401, "unauthenticated", "Unauthenticated"

    @property
    def headers(self) -> dict[str, str]:
        """Says how to authenticate, as RFC 9110 asks."""
        return {"WWW-Authenticate": f'Bearer realm="brain", error="{self.code}"'}


class TooLarge(Problem):
    """The body is over a limit."""

    status, code, title = 413, "too_large", "Too large"


class UnsupportedMedia(Problem):
    """The content type is not one of those taken."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class RateLimited(Problem):
    """Too many requests; `retry_after_s` says when to come again."""

    status, code, title = 429, "rate_limited", "Too many requests"


class Unavailable(Problem):
    """A part that is needed does not answer; the same call may succeed later."""

    status, code, title = 503, "unavailable", "Unavailable"

    @property
    def headers(self) -> dict[str, str]:
        """Asks to come again soon when nothing else is known."""
        return super().headers or {"Retry-After": "2"}


class TimedOut(Problem):
    """The work took longer than allowed and was stopped."""

    status, code, title = 504, "timed_out", "Timed out"


def problem_body(problem: Problem, *, instance: str = "", request_id: str = "") -> dict[str, Any]:
    """The JSON object of a problem. Members never override the standard ones."""
    standard = {
        "type": f"urn:brain:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "instance": instance,
        "request_id": request_id,
    }
    return problem.members | standard


BY_STATUS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthenticated,
        NotPermitted,
        NotFound,
        Conflict,
        TooLarge,
        UnsupportedMedia,
        InvalidInput,
        RateLimited,
        Unavailable,
        TimedOut,
    )
}


def problem_from(status: int, body: object) -> Problem:
    """The problem that another service answered with; keeps its code, title and members."""
    members = dict(body) if isinstance(body, dict) else {}
    detail = str(members.pop("detail", "") or members.get("title") or f"HTTP {status}")
    code = str(members.pop("code", "") or f"http_{status}")
    title = str(members.pop("title", "") or f"HTTP {status}")
    for standard in ("type", "status", "instance", "request_id"):
        members.pop(standard, None)
    known = BY_STATUS.get(status, Problem)
    kind = type(known.__name__, (known,), {"status": status, "code": code, "title": title, "__doc__": known.__doc__})
    problem: Problem = kind(detail, **members)
    return problem
