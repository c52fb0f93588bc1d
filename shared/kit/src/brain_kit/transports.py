"""The two ways to reach a service: its ASGI application in this process, or its address over pooled HTTP."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import urllib3

from brain_kit.client import Call, ServiceUnreachable
from brain_kit.problems import TimedOut

CHUNK_BYTES = 1 << 18
QUEUED_CHUNKS = 8
# Calls may nest (a page asks a service, which asks another): the pool must be deeper than any nesting.
THREADS = 200
BODY_READERS = 64
ATTEMPTS = 3
RETRY_PAUSE_S = 0.1
CONNECT_S = 3.0
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


class InternalLoop:
    """One event loop in a thread of its own, on which in-process calls run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(BODY_READERS, "internal-bodies"))
        self._calls: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="internal-calls", daemon=True)
        self._thread.start()

    def submit(self, call: _InProcessReply, app: Any) -> None:
        """Starts a call in the caller's context, so that its trace and log fields go along."""
        context = contextvars.copy_context()
        try:
            self.loop.call_soon_threadsafe(self._start, call, app, context)
        except RuntimeError as error:
            raise ServiceUnreachable("平台正在停止，请稍后重试") from error

    def close(self) -> None:
        """Stops the loop; calls under way fail."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5.0)

    def _start(self, call: _InProcessReply, app: Any, context: contextvars.Context) -> None:
        task = self.loop.create_task(call.run(app), context=context)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(_widen())
        self.loop.run_forever()
        for call in self._calls:
            call.cancel()
        self.loop.run_until_complete(asyncio.gather(*self._calls, return_exceptions=True))
        self.loop.close()


async def _widen() -> None:
    import anyio.to_thread

    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS


class InProcessTransport:
    """Runs the ASGI application of a service on the internal loop; bodies stream both ways."""

    def __init__(self, name: str, app: Any, internal: InternalLoop) -> None:
        self._name = name
        self._app = app
        self._internal = internal

    def open(self, call: Call) -> _InProcessReply:
        """Starts the application and waits for the head of its answer. Raises ServiceUnreachable, TimedOut."""
        reply = _InProcessReply(self._name, self._internal.loop, call)
        self._internal.submit(reply, self._app)
        reply.wait_for_head()
        return reply

    def close(self) -> None:
        """Nothing is held open."""


class _Pipe:
    """Chunks on their way from the event loop to a thread, a bounded number at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._chunks: deque[bytes | BaseException | None] = deque()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self.closed = False

    async def put(self, chunk: bytes) -> None:
        """Hands over a chunk, waiting for room. Raises OSError when nobody takes any more, as a server does."""
        with self._changed:
            if self.closed:
                raise OSError("the caller has gone")
            self._chunks.append(chunk)
            self._changed.notify()
            if len(self._chunks) < QUEUED_CHUNKS:
                return
            self._room.clear()
        await self._room.wait()

    def end(self, failure: BaseException | None = None) -> None:
        """Nothing follows; with a failure the body is not whole."""
        with self._changed:
            self._chunks.append(failure)
            self._changed.notify()

    def get(self, timeout_s: float) -> bytes | BaseException | None:
        """The next chunk, a failure, or None at the end. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks, timeout_s):
                raise TimeoutError
            was_full = len(self._chunks) >= QUEUED_CHUNKS
            chunk = self._chunks.popleft()
        if was_full:
            self._loop.call_soon_threadsafe(self._room.set)
        return chunk

    def close(self) -> None:
        """Takes no more; called on the loop."""
        with self._changed:
            self.closed = True
            self._chunks.clear()
        self._room.set()


class _InProcessReply:
    status = 0

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        self.headers: dict[str, str] = {}
        self._name = name
        self._loop = loop
        self._call = call
        self._pipe = _Pipe(loop)
        self._head = threading.Event()
        self._answered = asyncio.Event()
        self._body_failure: BaseException | None = None
        self._over = False

    def wait_for_head(self) -> None:
        if not self._head.wait(self._call.timeout_s):
            self.close()
            raise self._late()
        if not self.status:
            self._over = True
            failure = self._pipe.get(0)
            raise self._body_failure or ServiceUnreachable(
                f"服务 {self._name} 处理失败，请稍后重试", service=self._name
            ) from (failure if isinstance(failure, BaseException) else None)

    def iter_bytes(self) -> Iterator[bytes]:
        while not self._over:
            try:
                chunk = self._pipe.get(self._call.timeout_s)
            except TimeoutError:
                self.close()
                raise self._late() from None
            if isinstance(chunk, bytes):
                yield chunk
                continue
            self._over = True
            if chunk is not None:
                raise ServiceUnreachable(f"服务 {self._name} 的应答中断，请重试", service=self._name) from chunk

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._loop.call_soon_threadsafe(self._abandon)

    async def run(self, app: Any) -> None:
        """Runs the application for this call; on the loop."""
        try:
            await app(self._scope(), self._receiver(), self._send)
            self._pipe.end(None if self.status else RuntimeError("the application gave no answer"))
        except BaseException as error:
            self._pipe.end(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._answered.set()
            self._head.set()

    def _late(self) -> TimedOut:
        return TimedOut(f"服务 {self._name} 在 {self._call.timeout_s:g} 秒内没有应答，请稍后重试", service=self._name)

    def _abandon(self) -> None:
        self._pipe.close()
        self._answered.set()

    def _scope(self) -> dict[str, Any]:
        path, _, query = self._call.path.partition("?")
        headers = {"host": "in-process", **self._call.headers}
        if isinstance(self._call.body, bytes):
            headers["content-length"] = str(len(self._call.body))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._call.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("in-process", 80),
            "state": {},
        }

    def _receiver(self) -> Any:
        body = self._call.body
        chunks = iter((body,)) if isinstance(body, bytes) else iter(body)
        ended = False

        async def receive() -> dict[str, Any]:
            nonlocal ended
            if ended:
                await self._answered.wait()
                return {"type": "http.disconnect"}
            if isinstance(body, bytes):
                ended = True
                return {"type": "http.request", "body": body, "more_body": False}
            try:
                chunk = await self._loop.run_in_executor(None, next, chunks, None)
            except Exception as error:  # noqa: BLE001 - the caller's own error, told to the caller
                self._body_failure = error
                ended = True
                self._answered.set()
                return {"type": "http.disconnect"}
            ended = chunk is None
            return {"type": "http.request", "body": chunk or b"", "more_body": not ended}

        return receive

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self.headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in message.get("headers", [])
            }
            self._head.set()
        elif message["type"] == "http.response.body":
            if message.get("body"):
                await self._pipe.put(bytes(message["body"]))
            if not message.get("more_body"):
                self._answered.set()


class HttpTransport:
    """Calls a service at its address over kept-alive connections.

    A call that never reached the service is tried again; one that may have reached it only when it is idempotent and
    its body can be sent once more.
    """

    def __init__(self, name: str, base_url: str) -> None:
        self._name = name
        self._base = base_url.rstrip("/")
        self._pool = urllib3.PoolManager(maxsize=64)

    def open(self, call: Call) -> _HttpReply:
        """Sends the call. Raises ServiceUnreachable, TimedOut, and what a streamed body raises."""
        body = call.body if isinstance(call.body, bytes) else _SentBody(call.body)
        attempt = 1
        while True:
            try:
                return _HttpReply(self._name, self._send(call, body))
            except urllib3.exceptions.ReadTimeoutError as error:
                raise TimedOut(f"服务 {self._name} 没有按时应答，请稍后重试", service=self._name) from error
            except urllib3.exceptions.HTTPError as error:
                if isinstance(body, _SentBody) and body.failure is not None:
                    raise body.failure from None
                if attempt == ATTEMPTS or not _may_repeat(call, body, error):
                    raise ServiceUnreachable(
                        f"服务 {self._name} 暂时无法访问，请稍后重试", service=self._name
                    ) from error
            time.sleep(RETRY_PAUSE_S * attempt)
            attempt += 1

    def _send(self, call: Call, body: bytes | _SentBody) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            call.method,
            self._base + call.path,
            body=body,
            headers=call.headers,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=call.timeout_s),
            preload_content=False,
            redirect=False,
        )

    def close(self) -> None:
        """Closes the idle connections."""
        self._pool.clear()


def _may_repeat(call: Call, body: bytes | _SentBody, error: urllib3.exceptions.HTTPError) -> bool:
    if isinstance(body, _SentBody) and body.begun:
        return False  # its chunks are gone
    never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
    return never_sent or call.method in IDEMPOTENT


class _SentBody:
    """A streamed body that remembers whether it was begun, and the error of its own that ended it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.begun = False
        self.failure: Exception | None = None
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        try:
            yield from self._chunks
        except Exception as error:
            self.failure = error
            raise


class _HttpReply:
    def __init__(self, name: str, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}
        self._name = name
        self._response = response

    def iter_bytes(self) -> Iterator[bytes]:
        try:
            yield from self._response.stream(CHUNK_BYTES)
        except urllib3.exceptions.TimeoutError as error:
            raise TimedOut(f"服务 {self._name} 的应答中途停顿，请稍后重试", service=self._name) from error
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnreachable(f"服务 {self._name} 的应答中断，请重试", service=self._name) from error

    def close(self) -> None:
        # A body left unread must not be taken for the next answer; one read to its end has given its connection back.
        self._response.close()
