"""Ways to a service: its application in this process, or its address over kept-alive connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from service_portal.gateway.problems import ServiceUnknown, UpstreamBroken, UpstreamDown

if TYPE_CHECKING:
    import aiohttp
    from brain_kit.service import Platform
    from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 1 << 17
CONNECT_S = 3.0
CONNECTIONS = 256
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS"})


class Upstreams:
    """Hands a request to a service, wherever that runs."""

    def __init__(self, platform: Platform, timeout_s: float) -> None:
        self._platform = platform
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request whose scope has the service's own path. Raises UpstreamDown, UpstreamBroken."""
        app = self._platform.dispatch(service)
        if app is not None:
            await app(scope, receive, send)
            return
        address = self._platform.settings.services.get(service)
        if address is None:
            raise ServiceUnknown(f"没有服务 {service}")
        await self._proxy(service, address.rstrip("/"), scope, receive, send)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _proxy(self, service: str, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        import aiohttp

        method = scope["method"]
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in HOP_BY_HOP and name != b"host"
        ]
        names = {name for name, _ in headers}
        has_body = "content-length" in names or any(name == b"transfer-encoding" for name, _ in scope["headers"])
        url = address + scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            url += "?" + scope["query_string"].decode("latin-1")
        answered = False
        for attempt in (1, 2):
            try:
                async with self._connection().request(
                    method,
                    _exact(url),
                    headers=headers,
                    data=_body(receive) if has_body else None,
                    allow_redirects=False,
                ) as response:
                    answered = True
                    await _relay(response, send)
                    return
            except aiohttp.ClientError as error:
                if answered:
                    raise UpstreamBroken(f"服务 {service} 的应答中断，请重试", service=service) from error
                if attempt == 2 or has_body or method not in IDEMPOTENT:
                    raise UpstreamDown(f"服务 {service} 暂时无法访问，请稍后重试", service=service) from error
            except TimeoutError as error:
                raise UpstreamDown(f"服务 {service} 没有按时应答，请稍后重试", service=service) from error

    def _connection(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=self._timeout_s),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _exact(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # The service must see that the body is not whole: the connection is cut, not ended.
            raise asyncio.CancelledError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def _relay(response: aiohttp.ClientResponse, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in HOP_BY_HOP]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
