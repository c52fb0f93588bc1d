"""Calls over aiohttp, many at once from one event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

from industry_brain.client.runtime.connection import CHUNK_BYTES, CONNECT_S
from industry_brain.client.runtime.errors import BrainError, Unreachable, WaitedTooLong, error_of
from industry_brain.client.runtime.requests import Call

T = TypeVar("T")


class AsyncDownload:
    """An answer whose body is read as it comes; an `async with` block gives up what was not read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Pieces of the body. Raises Unreachable when it breaks off."""
        try:
            async for piece in self._response.content.iter_chunked(CHUNK_BYTES):
                yield piece
        except aiohttp.ClientError as error:
            raise Unreachable(f"the answer broke off: {error}") from error
        finally:
            self.close()

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def save(self, path: Path | str) -> Path:
        """Writes the body to a file, which appears only when it is whole."""
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            async for piece in self.iter_bytes():
                file.write(piece)
        return partial.replace(target)

    def close(self) -> None:
        """Gives the connection back."""
        self._response.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncConnection:
    """Sends calls to one platform with one key or token, at most `connections` at once; one event loop."""

    def __init__(self, url: str, key: str | None, timeout_s: float, connections: int) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=timeout_s)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def json(self, call: Call) -> Any:
        """The JSON answer, None when there is none. Raises BrainError."""
        async with await self.open(call) as answer:
            content = await answer.read()
        return json.loads(content) if content else None

    async def open(self, call: Call) -> AsyncDownload:
        """The answer with its body still to come. Raises BrainError."""
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(call)
            except BrainError as error:
                wait_s = call.wait_before_retry(tries, error.status, error.retry_after_s)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)

    async def _once(self, call: Call) -> AsyncDownload:
        session = self._opened()
        body = call.body
        file = body.open("rb") if isinstance(body, Path) else None
        try:
            response = await session.request(
                call.method,
                # Already quoted; quoting twice would change it.
                URL(self._url + call.target, encoded=True),
                data=file or body,
                headers=self._headers | call.headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{self._url}: {error}") from error
        finally:
            if file is not None:
                file.close()
        answer = AsyncDownload(response)
        if response.status >= 400:
            raise error_of(response.status, answer.headers, await answer.read())
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session

    async def close(self) -> None:
        """Ends the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def async_pages(read: Callable[[Any], Awaitable[Any]]) -> AsyncIterator[Any]:
    """Items of all pages; `read` gives the page after a mark."""
    after = None
    while True:
        page = await read(after)
        for item in page["items"]:
            yield item
        after = page["next"]
        if after is None:
            return


async def async_wait_until(
    what: str, read: Callable[[], Awaitable[T]], is_done: Callable[[T], bool], *, timeout_s: float, pause_s: float
) -> T:
    """Reads until it is done. Raises WaitedTooLong with the last state."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await read()
        if is_done(found):
            return found
        if time.monotonic() + pause_s > deadline:
            raise WaitedTooLong(what, timeout_s, found)
        await asyncio.sleep(pause_s)
