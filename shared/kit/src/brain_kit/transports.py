"""The two ways to reach a service: its ASGI application in this process, or its address over pooled HTTP."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import urllib3

from brain_kit.client import Call, ServiceUnreachable
from brain_kit.problems import TimedOut

CHUNK_BYTES = 1 << 18
QUEUED_CHUNKS = 8
# Calls may nest (a page asks the gateway's service, which asks another): the pool must be deeper than any nesting.
THREADS = 200


class InternalLoop:
    """One event loop in a thread of its own, on which in-process calls run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="internal-calls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the loop; calls under way are given up."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(2.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._widen)
        self.loop.run_forever()

    def _widen(self) -> None:
        async def widen() -> None:
            import anyio.to_thread

            anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS

        self._widening = self.loop.create_task(widen())


class InProcessTransport:
    """Runs the ASGI application of a service on the internal loop; bodies stream both ways."""

    def __init__(self, name: str, app: Any, internal: InternalLoop) -> None:
        self._name = name
        self._app = app
        self._internal = internal

    def open(self, call: Call) -> _InProcessReply:
        """Starts the application and waits for the head of its answer. Raises TimedOut."""
        reply = _InProcessReply(self._name, self._internal, call)
        reply.start(self._app)
        return reply


class _InProcessReply:
    status = 0

    def __init__(self, name: str, internal: InternalLoop, call: Call) -> None:
        self.headers: dict[str, str] = {}
        self._name = name
        self._loop = internal.loop
        self._call = call
        self._chunks: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(QUEUED_CHUNKS)
        self._head = threading.Event()
        self._gone: asyncio.Event = asyncio.Event()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def start(self, app: Any) -> None:
        context = contextvars.copy_context()
        self._loop.call_soon_threadsafe(self._create_task, app, context)
        if not self._head.wait(self._call.timeout_s):
            self.close()
            raise TimedOut(
                f"服务 {self._name} 在 {self._call.timeout_s:g} 秒内没有应答，请稍后重试", service=self._name
            )
        if self._failure is not None:
            raise ServiceUnreachable(f"服务 {self._name} 处理失败，请稍后重试", service=self._name) from self._failure

    def iter_bytes(self) -> Iterator[bytes]:
        while not self._over:
            chunk = asyncio.run_coroutine_threadsafe(self._chunks.get(), self._loop).result()
            if chunk is None:
                self._over = True
            elif isinstance(chunk, BaseException):
                self._over = True
                raise ServiceUnreachable(f"服务 {self._name} 的应答中断，请重试", service=self._name) from chunk
            else:
                yield chunk

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._loop.call_soon_threadsafe(self._abandon)

    def _create_task(self, app: Any, context: contextvars.Context) -> None:
        self._task = self._loop.create_task(self._run(app), context=context)

    def _abandon(self) -> None:
        self._gone.set()
        # The application may wait to hand over a chunk that nobody takes any more.
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _run(self, app: Any) -> None:
        try:
            await app(self._scope(), self._receiver(), self._send)
            await self._hand_over(None)
        except Exception as error:  # noqa: BLE001 - the caller gets it, in its own thread
            self._failure = error
            await self._hand_over(error)
        finally:
            self._head.set()

    def _scope(self) -> dict[str, Any]:
        path, _, query = self._call.path.partition("?")
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
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in self._call.headers.items()
            ],
            "client": ("127.0.0.1", 0),
            "server": ("in-process", 80),
            "state": {},
        }

    def _receiver(self) -> Any:
        body = self._call.body
        chunks = iter((body,)) if isinstance(body, bytes) else body
        ended = False

        async def receive() -> dict[str, Any]:
            nonlocal ended
            if ended:
                await self._gone.wait()
                return {"type": "http.disconnect"}
            if isinstance(body, bytes):
                ended = True
                return {"type": "http.request", "body": body, "more_body": False}
            chunk = await self._loop.run_in_executor(None, next, chunks, None)
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
        elif message["type"] == "http.response.body" and message.get("body"):
            await self._hand_over(bytes(message["body"]))

    async def _hand_over(self, chunk: bytes | BaseException | None) -> None:
        if self._gone.is_set():
            return
        waiting = asyncio.ensure_future(self._chunks.put(chunk))
        gone = asyncio.ensure_future(self._gone.wait())
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        gone.cancel()


class HttpTransport:
    """Calls a service at its address over kept-alive connections; idempotent calls are tried twice."""

    def __init__(self, name: str, base_url: str) -> None:
        self._name = name
        self._base = base_url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=64,
            retries=urllib3.Retry(total=2, connect=2, read=1, redirect=0, status=0, other=0, backoff_factor=0.1),
        )

    def open(self, call: Call) -> _HttpReply:
        """Sends the call. Raises ServiceUnreachable, TimedOut."""
        try:
            response = self._pool.request(
                call.method,
                self._base + call.path,
                body=call.body,
                headers=call.headers,
                timeout=urllib3.Timeout(connect=3, read=call.timeout_s),
                preload_content=False,
                redirect=False,
            )
        except urllib3.exceptions.TimeoutError as error:
            raise TimedOut(f"服务 {self._name} 没有按时应答，请稍后重试", service=self._name) from error
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnreachable(f"服务 {self._name} 暂时无法访问，请稍后重试", service=self._name) from error
        return _HttpReply(self._name, response)


class _HttpReply:
    def __init__(self, name: str, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}
        self._name = name
        self._response = response

    def iter_bytes(self) -> Iterator[bytes]:
        try:
            yield from self._response.stream(CHUNK_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnreachable(f"服务 {self._name} 的应答中断，请重试", service=self._name) from error

    def close(self) -> None:
        # A body left unread must not be taken for the next answer; one read to its end has given its connection back.
        self._response.close()
