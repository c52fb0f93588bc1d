"""Ways to a service: its application in this process, or its address over kept-alive connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from brain_kit.prompt import prompt_of

from service_portal.domain.refusals import ServiceUnknown, UpstreamBroken, UpstreamDown, UpstreamSlow

if TYPE_CHECKING:
    import aiohttp
    from brain_kit.problems import Problem
    from brain_kit.prompt import Prompt
    from brain_kit.service import Platform
    from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 1 << 17
CONNECT_S = 3.0
CONNECTIONS = 256
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# The caller's `Expect` was answered by the server in front of the gateway.
NOT_FORWARDED = HOP_BY_HOP | {b"host", b"expect"}
NOT_RELAYED = HOP_BY_HOP | {b"date", b"server"}
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS"})


class Upstreams:
    """Hands a request to a service, wherever that runs."""

    def __init__(self, platform: Platform, timeout_s: float) -> None:
        self._platform = platform
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request whose scope has the service's own path.

        Raises ServiceUnknown, UpstreamDown, UpstreamSlow, UpstreamBroken.
        """
        app = self._platform.dispatch(service)
        if app is not None:
            await app(scope, receive, send)
            return
        address = self._platform.settings.services.get(service)
        if address is None:
            raise ServiceUnknown(f"没有服务 {service}")
        await self._proxy(service, address.rstrip("/"), scope, receive, send)

    def prompt(self, service: str) -> Prompt | None:
        """A service of this process that answers at once; None: it does not, or runs elsewhere."""
        return prompt_of(self._platform.dispatch(service))

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _proxy(self, service: str, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one exchange on; gives it up as soon as the caller goes away, so that the service sees it too."""
        caller = _Caller(scope, receive)
        exchange = asyncio.ensure_future(self._exchange(service, address, scope, caller, send))
        gone = asyncio.ensure_future(caller.leaves())
        try:
            await asyncio.wait({exchange, gone}, return_when=asyncio.FIRST_COMPLETED)
            if exchange.done():
                exchange.result()
        finally:
            for task in (exchange, gone):
                task.cancel()
            await asyncio.gather(exchange, gone, return_exceptions=True)

    async def _exchange(self, service: str, address: str, scope: Scope, caller: _Caller, send: Send) -> None:
        import aiohttp

        method = scope["method"]
        query = scope["query_string"].decode("latin-1")
        url = _exact(address + scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""))
        answered = False
        attempts = (1, 2) if method in IDEMPOTENT and not caller.has_body else (2,)
        for attempt in attempts:
            try:
                async with self._connection().request(
                    method,
                    url,
                    headers=_forwarded(scope),
                    data=caller.body() if caller.has_body else None,
                    allow_redirects=False,
                ) as response:
                    answered = True
                    await _relay(response, send)
                    return
            except (aiohttp.ClientError, TimeoutError) as error:
                again = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
                if answered or attempt == 2 or not again:
                    raise _failure(service, error, answered) from error

    def _connection(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=self._timeout_s),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # aiohttp would repeat PUT and DELETE too, with a body that is already spent.
            self._session._retry_connection = False
        return self._session


def _exact(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


def _failure(service: str, error: Exception, answered: bool) -> Problem:
    import aiohttp

    if answered:
        return UpstreamBroken(f"服务 {service} 的应答中断，请重试", service=service)
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamSlow(f"服务 {service} 没有按时应答，请稍后重试", service=service)
    return UpstreamDown(f"服务 {service} 暂时无法访问，请稍后重试", service=service)


def _forwarded(scope: Scope) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name not in NOT_FORWARDED
    ]


class _Caller:
    """Who sent the request: its body as it comes, and the moment it goes away."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        names = {name for name, _ in scope["headers"]}
        self.has_body = b"content-length" in names or b"transfer-encoding" in names
        self._receive = receive
        self._whole = asyncio.Event()
        self._left = asyncio.Event()
        if not self.has_body:
            self._whole.set()

    async def body(self) -> AsyncIterator[bytes]:
        """Chunks as they come; never ends when the caller left, for what came is not the whole."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left.set()
                await asyncio.Event().wait()
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                self._whole.set()
                return

    async def leaves(self) -> None:
        """Returns when the caller has gone away."""
        left = asyncio.ensure_future(self._left.wait())
        whole = asyncio.ensure_future(self._whole.wait())
        try:
            await asyncio.wait({left, whole}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            whole.cancel()
        while not self._left.is_set() and (await self._receive())["type"] != "http.disconnect":
            continue


async def _relay(response: aiohttp.ClientResponse, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in NOT_RELAYED]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
