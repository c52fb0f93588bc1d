"""The gateway as a raw ASGI application: what is done for each request are look-ups in tables, nothing else."""

from __future__ import annotations

import functools
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from brain_kit.application import problem_answer
from brain_kit.auth import Principal
from brain_kit.ids import new_id
from brain_kit.problems import Problem
from brain_kit.prompt import Answer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_portal.domain.plans import TokenBucket
from service_portal.domain.refusals import (
    BodyTooLarge,
    LengthInvalid,
    MethodRefused,
    PathAmbiguous,
    ServiceUnknown,
    TooFast,
)
from service_portal.domain.routing import (
    API,
    METHODS,
    PUBLIC_ROUTES,
    SIGN_IN,
    WRITES,
    PathRefused,
    Target,
    is_write,
    may_be_large,
    target_of,
)
from service_portal.gateway.limits import Limits

if TYPE_CHECKING:
    from service_portal.domain.usage import Meter
    from service_portal.gateway.credentials import Credentials, Verdict
    from service_portal.gateway.trail import Trail
    from service_portal.gateway.upstream import Upstreams
    from service_portal.settings import Settings

OPERATION_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
# Headers of the caller that do not go upstream as they came; only services of the platform may say for whom they act.
REPLACED = frozenset(
    {b"authorization", b"x-api-key", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto", b"x-acting-org"}
)
ID_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
SIGN_INS_PER_S, SIGN_IN_BURST = 0.2, 10
MOST_ADDRESSES = 10_000
FAILED = "网关内部出错，已记录；请带上 request_id 联系运营方"
EXCHANGE = "brain.exchange"  # in a scope: an exchange that was begun, and could not be answered at once
CLIENT_GONE = 499  # what is counted and recorded of a request whose caller did not wait for the answer

log = structlog.get_logger()


class Gateway:
    """One door: authenticates, limits, meters and hands on; streams both ways.

    portal: answers every path outside /api. operation: answers health, readiness, metrics and the merged OpenAPI.
    """

    at_once_paths = re.compile(rb"/api/[a-z-]+/v1/[A-Za-z0-9_./-]{1,200}/invocations")

    def __init__(
        self,
        settings: Settings,
        *,
        credentials: Credentials,
        limits: Limits,
        meter: Meter,
        trail: Trail,
        upstreams: Upstreams,
        portal: ASGIApp,
        operation: ASGIApp,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._limits = limits
        self._meter = meter
        self._trail = trail
        self._upstreams = upstreams
        self._portal = portal
        self._operation = operation
        self._sign_ins: dict[str, TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["path"] in OPERATION_PATHS:
            await self._operation(scope, receive, send)
        elif scope["path"].startswith(API):
            exchange = scope.pop(EXCHANGE, None) or _Exchange(self, scope)
            await exchange.run(receive, send)
        else:
            await self._portal(scope, receive, send)

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer of a service that gives it at once, to a caller known already; everything else goes the long way.

        Authenticated, limited and metered like every request.
        """
        return _Exchange(self, scope).at_once(body)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._upstreams.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def authenticate(
        self, target: Target, method: str, headers: dict[bytes, bytes], address: str
    ) -> Verdict | None:
        """The verdict on the caller; None on the routes that need none. Raises Unauthenticated, TooFast."""
        route = (target.service, method, target.path)
        if route in PUBLIC_ROUTES:
            if route == SIGN_IN:
                self._slow_down(address)
            return None
        return await self._credentials.verify(_credential(headers))

    def _slow_down(self, address: str) -> None:
        now = time.monotonic()
        if len(self._sign_ins) >= MOST_ADDRESSES:
            self._sign_ins.clear()
        bucket = self._sign_ins.setdefault(address, TokenBucket(SIGN_INS_PER_S, SIGN_IN_BURST, now))
        wait_s = bucket.take(now)
        if wait_s:
            raise TooFast(f"登录尝试过于频繁，请 {wait_s:.0f} 秒后再试", retry_after_s=wait_s)


class _Exchange:
    """One request through the gateway and its answer."""

    __slots__ = (
        "_bytes_in", "_bytes_out", "_extra", "_gateway", "_headers", "_limit", "_method", "_over_limit",
        "_principal", "_receive", "_request_id", "_scope", "_send", "_service", "_started", "_status", "_target",
        "_verdict",
    )  # fmt: skip

    _receive: Receive
    _send: Send

    def __init__(self, gateway: Gateway, scope: Scope) -> None:
        self._gateway = gateway
        self._scope = scope
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._method: str = scope["method"]
        self._request_id = _request_id(self._headers.get(b"x-request-id", b""))
        self._principal: Principal | None = None
        self._service = "unknown"
        self._target: Target | None = None
        self._status = 0
        self._bytes_in = self._bytes_out = 0
        self._limit = 0
        self._verdict: Verdict | None = None
        self._over_limit: BodyTooLarge | None = None
        self._extra: list[tuple[bytes, bytes]] = []
        self._started = time.perf_counter()

    def at_once(self, body: bytes) -> Answer | None:
        """The answer where nothing has to be waited for; None: `run` goes on from here.

        The service sees the caller's token and the request's id, as in `_upstream_scope`, and no other header.
        """
        gateway = self._gateway
        try:
            target = self._target = self._find_target()
            self._service = target.service
            service = gateway._upstreams.prompt(target.service)
            verdict = gateway._credentials.fresh(_credential(self._headers)) if service is not None else None
            if service is None or verdict is None:
                return None
            self._check_length(target)
            if len(body) > self._limit:
                raise self._too_large(len(body))
            self._admit(verdict)
            vouched = [(b"authorization", verdict.authorization), (b"x-request-id", self._request_id.encode())]
            answer = service.at_once(
                {"type": "http", "method": self._method, "path": target.path, "headers": vouched}, body
            )
            if answer is None:
                self._scope[EXCHANGE] = self
                return None
            self._bytes_in, self._bytes_out, self._status = len(body), len(answer.body), answer.status
            if self._extra:
                answer.headers.extend(self._extra)
        except Problem as problem:
            answer = self._refusal(problem)
        except Exception:
            log.exception("gateway_failed", path=self._scope["path"], request_id=self._request_id)
            answer = self._refusal(Problem(FAILED))
        self._finish()
        return answer

    async def run(self, receive: Receive, send: Send) -> None:
        """Answers the request, counts it, and records it when it writes."""
        self._receive, self._send = receive, send
        gateway = self._gateway
        try:
            target = self._target = self._find_target()
            self._service = target.service
            self._check_length(target)
            client = self._scope.get("client") or ("", 0)
            verdict = self._verdict
            if verdict is None:
                verdict = await gateway.authenticate(target, self._method, self._headers, client[0])
                if verdict is not None:
                    self._admit(verdict)
            upstream = self._upstream_scope(target, verdict.authorization if verdict else None, client[0])
            await gateway._upstreams.handle(target.service, upstream, self._counted_receive, self._counted_send)
            if self._over_limit is not None:
                await self._refuse(self._over_limit)
        except Problem as problem:
            await self._refuse(self._over_limit or problem)
        except Exception:
            log.exception("gateway_failed", path=self._scope["path"], request_id=self._request_id)
            await self._refuse(Problem(FAILED))
        finally:
            self._finish()

    def _admit(self, verdict: Verdict) -> None:
        """Lets the caller in, once. Raises TooFast, QuotaUsedUp."""
        self._principal = verdict.principal
        self._extra = self._gateway._limits.admit(verdict.principal)
        self._gateway._meter.begin(verdict.principal.org)
        self._verdict = verdict

    def _find_target(self) -> Target:
        if self._method not in METHODS:
            raise MethodRefused(f"不支持方法 {self._method[:20]}")
        try:
            target = target_of(self._scope.get("raw_path") or self._scope["path"].encode())
        except PathRefused as error:
            raise PathAmbiguous("路径含有 ..、// 或编码的分隔符，请写成规范路径") from error
        if target is None:
            raise ServiceUnknown("没有这个接口；接口目录见 /openapi.json")
        return target

    def _check_length(self, target: Target) -> None:
        settings = self._gateway._settings
        is_file = may_be_large(target, self._method)
        self._limit = settings.service_portal_push_limit_bytes if is_file else settings.service_portal_body_limit_bytes
        declared = self._headers.get(b"content-length")
        if declared is None:
            return
        if not declared.isdigit():
            raise LengthInvalid("Content-Length 应为字节数")
        if int(declared) > self._limit:
            raise self._too_large(int(declared))

    def _too_large(self, size: int) -> BodyTooLarge:
        return BodyTooLarge(f"请求体 {size:,} 字节，超过上限 {self._limit:,} 字节；请分批推送", limit_bytes=self._limit)

    def _upstream_scope(self, target: Target, authorization: bytes | None, address: str) -> dict[str, Any]:
        headers = [item for item in self._scope["headers"] if item[0] not in REPLACED]
        headers.append((b"x-request-id", self._request_id.encode()))
        headers.append((b"x-forwarded-for", address.encode()))
        headers.append((b"x-forwarded-proto", str(self._scope.get("scheme", "http")).encode()))
        if authorization is not None:
            headers.append((b"authorization", authorization))
        changes = {"path": target.path, "raw_path": target.raw_path, "root_path": "", "headers": headers, "state": {}}
        return {**self._scope, **changes}

    async def _counted_receive(self) -> Message:
        """The next part of the body; over the limit the service sees a caller that went away."""
        if self._over_limit is not None:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes_in += len(message.get("body", b""))
            if self._bytes_in > self._limit:
                self._over_limit = self._too_large(self._bytes_in)
                return {"type": "http.disconnect"}
        return message

    async def _counted_send(self, message: Message) -> None:
        if self._over_limit is not None and not self._status:
            return  # what the service says of a body that it did not get whole
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._extra:
                message = {**message, "headers": [*message.get("headers", []), *self._extra]}
            self._forget_on_change()
        elif message["type"] == "http.response.body":
            self._bytes_out += len(message.get("body", b""))
        await self._send(message)

    def _forget_on_change(self) -> None:
        # A revoked key must be refused by the next request already, not after the verdict's age.
        if self._service == "identity" and self._method in WRITES and self._status < 400:
            self._gateway._credentials.forget()

    async def _refuse(self, problem: Problem) -> None:
        if self._status:
            # The head is out: only cutting the connection tells the caller that the rest is missing.
            raise problem
        status, headers, body = self._refusal(problem)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _refusal(self, problem: Problem) -> Answer:
        self._status = problem.status
        return problem_answer(problem, self._scope["path"], self._request_id, self._extra)

    def _finish(self) -> None:
        milliseconds = (time.perf_counter() - self._started) * 1000
        principal = self._principal
        if principal is None:
            return
        day = _day(int(time.time() // 86_400))
        status = self._status or CLIENT_GONE
        key = (day, principal.org, principal.subject, self._service, f"{status // 100}xx")
        meter = self._gateway._meter
        over = meter.count if self._verdict is None else meter.end
        over(key, self._bytes_in, self._bytes_out, milliseconds)
        if is_write(self._target, self._method):
            path = self._scope["path"]
            self._gateway._trail.add(principal, self._method, path, status, self._request_id, milliseconds)


def _credential(headers: dict[bytes, bytes]) -> str:
    """The key or token of a request; empty when it has none."""
    scheme, _, rest = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")


@functools.lru_cache(maxsize=2)
def _day(number: int) -> str:
    """The calendar day (UTC) of so many days since 1970."""
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


def _request_id(given: bytes) -> str:
    if 8 <= len(given) <= 64 and ID_CHARACTERS.issuperset(given):
        return given.decode("ascii")
    return new_id("req")
