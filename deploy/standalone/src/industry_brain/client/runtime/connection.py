"""Calls over urllib3, one after the other or from several threads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import urllib3

from industry_brain.client.runtime.errors import BrainError, Unreachable, WaitedTooLong, error_of
from industry_brain.client.runtime.requests import Call

CHUNK_BYTES = 1 << 18
CONNECT_S = 5.0
T = TypeVar("T")


class Download:
    """An answer whose body is read as it comes; a `with` block gives up what was not read."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def iter_bytes(self) -> Iterator[bytes]:
        """Pieces of the body. Raises Unreachable when it breaks off."""
        try:
            yield from self._response.stream(CHUNK_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"the answer broke off: {error}") from error
        finally:
            self.close()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.iter_bytes())

    def save(self, path: Path | str) -> Path:
        """Writes the body to a file, which appears only when it is whole."""
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            for piece in self.iter_bytes():
                file.write(piece)
        return partial.replace(target)

    def close(self) -> None:
        """Gives the connection back."""
        self._response.release_conn()
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Connection:
    """Sends calls to one platform with one key or token; safe among threads."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._pool = urllib3.PoolManager(
            maxsize=16, retries=False, timeout=urllib3.Timeout(connect=CONNECT_S, read=timeout_s)
        )

    def json(self, call: Call) -> Any:
        """The JSON answer, None when there is none. Raises BrainError."""
        with self.open(call) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def open(self, call: Call) -> Download:
        """The answer with its body still to come. Raises BrainError."""
        tries = 0
        while True:
            tries += 1
            try:
                return self._once(call)
            except BrainError as error:
                wait_s = call.wait_before_retry(tries, error.status, error.retry_after_s)
                if wait_s is None:
                    raise
            time.sleep(wait_s)

    def _once(self, call: Call) -> Download:
        body = call.body
        file = body.open("rb") if isinstance(body, Path) else None
        try:
            response = self._pool.request(
                call.method,
                self._url + call.target,
                body=file or body,
                headers=self._headers | call.headers,
                preload_content=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self._url}: {error}") from error
        finally:
            if file is not None:
                file.close()
        answer = Download(response)
        if response.status >= 400:
            raise error_of(response.status, answer.headers, answer.read())
        return answer

    def close(self) -> None:
        """Ends the connections."""
        self._pool.clear()


def pages(read: Callable[[Any], Any]) -> Iterator[Any]:
    """Items of all pages; `read` gives the page after a mark."""
    after = None
    while True:
        page = read(after)
        yield from page["items"]
        after = page["next"]
        if after is None:
            return


def wait_until(
    what: str, read: Callable[[], T], is_done: Callable[[T], bool], *, timeout_s: float, pause_s: float
) -> T:
    """Reads until it is done. Raises WaitedTooLong with the last state."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = read()
        if is_done(found):
            return found
        if time.monotonic() + pause_s > deadline:
            raise WaitedTooLong(what, timeout_s, found)
        time.sleep(pause_s)
