"""Calls between services: in-process when the other runs in this process, pooled HTTP when it does not."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import structlog

from brain_kit.problems import Problem, Unavailable, problem_from
from brain_kit.telemetry.tracing import current_headers

Body = bytes | Iterator[bytes]


class ServiceUnreachable(Unavailable):
    """Another service of the platform does not answer."""

    code = "service_unreachable"


@dataclass(frozen=True)
class Call:
    """A request to another service; `path` carries the query, header names are lower-case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Body
    timeout_s: float


@dataclass(frozen=True)
class Reply:
    """A whole answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON, None when it is empty."""
        return jsonlib.loads(self.content) if self.content else None


class StreamedReply(Protocol):
    """An answer whose body comes in chunks."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, names in lower case."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Chunks of the body as they come. Raises ServiceUnreachable when it breaks off, TimedOut when it stalls."""
        ...

    def close(self) -> None:
        """Gives up the rest of the body."""
        ...


class Transport(Protocol):
    """A way to reach a service."""

    def open(self, call: Call) -> StreamedReply:
        """Sends the call and returns when the head of the answer is there. Raises ServiceUnreachable, TimedOut."""
        ...

    def close(self) -> None:
        """Gives back connections."""
        ...


class ServiceClient:
    """Calls one service as this platform, or as the holder of the token that is passed on."""

    def __init__(self, name: str, transport: Callable[[], Transport], service_token: Callable[[], str]) -> None:
        self.name = name
        self._transport = transport
        self._service_token = service_token

    def request(  # noqa: PLR0913 - named parameters of a request
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: Body | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
        raise_errors: bool = True,
    ) -> Reply:
        """The whole answer. token: None calls with the service's own token, "" without any.

        Raises the problem that the service answered with (unless raise_errors is False), or ServiceUnreachable.
        """
        with self.stream(
            method, path, params=params, json=json, content=content, headers=headers, token=token, timeout_s=timeout_s
        ) as answer:
            reply = Reply(answer.status, answer.headers, b"".join(answer.iter_bytes()))
        if raise_errors and reply.status >= 400:
            raise _problem(reply)
        return reply

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: Body | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
    ) -> Iterator[StreamedReply]:
        """The answer with its body still to come; leaving the block gives up the rest. Never raises for a status."""
        sent = self._headers(headers, token)
        body: Body = content if content is not None else b""
        if json is not None:
            body = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            sent.setdefault("content-type", "application/json")
        query = urlencode({name: value for name, value in (params or {}).items() if value is not None}, doseq=True)
        target = f"{path}?{query}" if query else path
        answer = self._transport().open(Call(method, target, sent, body, timeout_s))
        try:
            yield answer
        finally:
            answer.close()

    def _headers(self, headers: Mapping[str, str] | None, token: str | None) -> dict[str, str]:
        sent = {name.lower(): value for name, value in (headers or {}).items()} | current_headers()
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            sent.setdefault("x-request-id", str(request_id))
        carried = self._service_token() if token is None else token
        if carried:
            sent["authorization"] = f"Bearer {carried}"
        return sent


def _problem(reply: Reply) -> Problem:
    try:
        body = reply.json()
    except ValueError:
        body = {"detail": reply.content[:200].decode("utf-8", "replace")}
    return problem_from(reply.status, body)
