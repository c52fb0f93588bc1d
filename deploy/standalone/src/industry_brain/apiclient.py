"""A small HTTP client of the gateway, for the command line and the demonstration loader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import urllib3

CHUNK_BYTES = 1 << 18


class ApiError(Exception):
    """The platform refused a call; carries the problem+json body."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))

    @property
    def code(self) -> str:
        """The stable problem code, such as `key_revoked`."""
        return str(self.problem.get("code", "unknown"))


class PlatformUnreachable(Exception):
    """Nothing answers at the address."""


@dataclass(frozen=True)
class Progress:
    """How far an upload is: bytes sent of bytes in total (0 when unknown)."""

    sent: int
    total: int


class ApiClient:
    """Calls `/api/...` of one platform with one key or token."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 300.0) -> None:
        self.url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=8,
            retries=urllib3.Retry(total=2, connect=2, read=0, redirect=0, backoff_factor=0.2),
            timeout=urllib3.Timeout(connect=5, read=timeout_s),
        )
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def get(self, path: str, **params: object) -> Any:
        """JSON of a GET; None parameters are left out."""
        return self._json("GET", path, params=params)

    def post(self, path: str, body: object | None = None, **params: object) -> Any:
        """JSON of a POST with a JSON body."""
        return self._json("POST", path, body=body, params=params)

    def post_with(self, path: str, body: object, headers: dict[str, str]) -> Any:
        """JSON of a POST with a JSON body and headers of its own."""
        content = json.dumps(body, ensure_ascii=False).encode()
        response = self._send("POST", path, content, {"Content-Type": "application/json"} | headers, {})
        return json.loads(response.data or b"null")

    def patch(self, path: str, body: object) -> Any:
        """JSON of a PATCH with a JSON body."""
        return self._json("PATCH", path, body=body)

    def put_json(self, path: str, body: object) -> Any:
        """JSON of a PUT with a JSON body."""
        return self._json("PUT", path, body=body)

    def get_bytes(self, path: str, **params: object) -> tuple[bytes, dict[str, str]]:
        """Body and headers (names in lower case) of a GET."""
        response = self._send("GET", path, b"", {}, params)
        return response.data, {name.lower(): value for name, value in response.headers.items()}

    def put(
        self, path: str, content: bytes, content_type: str, *, if_match: str | None = None, **params: object
    ) -> Any:
        """JSON of a PUT with a raw body; if_match: the entity tag that the edit is based on."""
        headers = {"Content-Type": content_type} | ({"If-Match": if_match} if if_match else {})
        response = self._send("PUT", path, content, headers, params)
        return json.loads(response.data or b"null")

    def delete(self, path: str) -> Any:
        """JSON of a DELETE, None when it answers nothing."""
        return self._json("DELETE", path)

    def push(
        self,
        dataset: str,
        body: bytes | Path,
        content_type: str,
        *,
        mode: str = "append",
        wait_s: float = 0,
        idempotency_key: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> dict[str, Any]:
        """Pushes rows and returns the receipt. A wholly refused push returns its receipt too.

        Raises ApiError when the push itself was refused without a receipt.
        """
        headers = {"Content-Type": content_type}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        path = f"/api/data-hub/v1/datasets/{quote(dataset)}/pushes"
        params: dict[str, object] = {"mode": mode, "wait": wait_s}
        content: bytes | Iterator[bytes] = body if isinstance(body, bytes) else _chunks(body, on_progress)
        if isinstance(body, Path):
            headers["Content-Length"] = str(body.stat().st_size)
        try:
            response = self._send("POST", path, content, headers, params)
        except ApiError as error:
            if "state" in error.problem and "accepted" in error.problem:
                return error.problem
            raise
        receipt: dict[str, Any] = json.loads(response.data)
        return receipt

    def download(self, method: str, path: str, out: BinaryIO, *, accept: str, body: object | None = None) -> int:
        """Streams an answer into a file; returns its bytes."""
        headers = {"Accept": accept, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        response = self._send(method, path, content, headers, {}, stream=True)
        written = 0
        try:
            for chunk in response.stream(CHUNK_BYTES):
                written += out.write(chunk)
        finally:
            response.release_conn()
        return written

    def _json(
        self, method: str, path: str, *, body: object | None = None, params: dict[str, object] | None = None
    ) -> Any:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        response = self._send(method, path, content, {"Content-Type": "application/json"}, params or {})
        return json.loads(response.data or b"null")

    def _send(
        self,
        method: str,
        path: str,
        content: bytes | Iterator[bytes] | None,
        headers: dict[str, str],
        params: dict[str, object],
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        query = urlencode({name: value for name, value in params.items() if value is not None})
        target = f"{self.url}{path}" + (f"?{query}" if query else "")
        try:
            response = self._pool.request(
                method, target, body=content, headers=self._headers | headers, preload_content=not stream
            )
        except urllib3.exceptions.HTTPError as error:
            reason = str(getattr(error, "reason", None) or error).rsplit(": ", 1)[-1]
            raise PlatformUnreachable(f"{self.url} ({reason})") from error
        if response.status >= 400:
            raise ApiError(response.status, _problem(response))
        return response


def _problem(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    data = response.data
    try:
        body = json.loads(data)
    except ValueError:
        body = {"detail": data[:200].decode("utf-8", "replace")}
    return body if isinstance(body, dict) else {"detail": str(body)}


def _chunks(path: Path, on_progress: Callable[[Progress], None] | None) -> Iterator[bytes]:
    total = path.stat().st_size
    sent = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if on_progress:
                on_progress(Progress(sent, total))
