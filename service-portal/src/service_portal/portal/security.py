"""Headers of every portal answer, and the reading of forms."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import structlog
from brain_kit.ids import new_id
from brain_kit.problems import InvalidInput, TooLarge
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Everything comes from the portal itself. `data:` pictures are the small arrows and ticks inside Tabler's style sheet.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FORM_LIMIT_BYTES = 4_000_000
FORM_LIMIT_FIELDS = 20_000


def current_request_id() -> str:
    """The id that this request carries through every service it calls."""
    return str(structlog.contextvars.get_contextvars().get("request_id") or "")


class SecurityHeaders:
    """ASGI layer that adds the headers to each answer, HSTS over TLS, and a request id when there is none yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; only the start of an answer is touched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
            await send(message)

        request_id = current_request_id() or new_id("req")
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_headers)


def comes_from_here(request: Request) -> bool:
    """False when a browser says that another site caused this request.

    Browsers set Sec-Fetch-Site and Origin themselves and scripts cannot change them. Clients without both pass:
    they still need the form token.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


class Form(dict[str, list[str]]):
    """Fields of an urlencoded form, each with every value it came with."""

    def one(self, name: str, default: str = "") -> str:
        """The first value of a field, without surrounding white space."""
        values = self.get(name)
        return values[0].strip() if values else default


async def read_form(request: Request) -> Form:
    """The urlencoded body of a request. Raises TooLarge or InvalidInput."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT_BYTES:
            raise TooLarge(f"表单超过 {FORM_LIMIT_BYTES // 1_000_000} MB。")
    form = Form()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_LIMIT_FIELDS)
    except ValueError as error:
        raise InvalidInput("表单不是有效的 UTF-8 编码，或字段过多。") from error
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def safe_return(target: str) -> str:
    """A path of this portal to go back to; anything that could lead elsewhere becomes "/"."""
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if inside and "\n" not in target and "\r" not in target else "/"
