"""Principals and the offline verification of their tokens.

A token is an Ed25519-signed JWT that identity issues for minutes; every service checks it with identity's public keys
alone. What a principal may do is decided from its organisation and roles.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from brain_kit.problems import NotPermitted, Unauthenticated

ISSUER = "brain-identity"
AUDIENCE = "brain"
LEEWAY_S = 30
ROLES = frozenset({"operator", "analyst", "manager", "member", "provider", "developer", "auditor", "agent", "service"})
ROWLESS_ROLES = frozenset({"agent", "auditor"})
CACHED_TOKENS = 4096

Kind = Literal["user", "key", "service"]
OrgKind = Literal["operator", "department", "enterprise", "provider"]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class CredentialsMissing(Unauthenticated):
    """The request carries no credentials."""

    code = "credentials_missing"


class TokenInvalid(Unauthenticated):
    """The token is not one of ours, or was altered."""

    code = "token_invalid"


class TokenExpired(Unauthenticated):
    """The token's time is over."""

    code = "token_expired"


@dataclass(frozen=True)
class Principal:
    """Who calls: a user, an API key or a service, and the organisation it acts for."""

    subject: str
    kind: Kind
    org: str
    org_kind: OrgKind
    org_name: str = ""
    roles: frozenset[str] = field(default_factory=frozenset)
    name: str = ""
    region: str = ""
    plan: str = ""
    # A service that acts for the organisation named above (`brain_kit.acting`); never carried by a token.
    acting: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether the caller operates the platform."""
        return "operator" in self.roles

    @property
    def is_government(self) -> bool:
        """Whether the caller may see every row: operators, departments, and services unless they act for others.

        The agent of a computing centre runs jobs and an auditor reads the audit trail: they see no rows, whoever's
        they are.
        """
        if self.roles and self.roles <= ROWLESS_ROLES:
            return False
        return (self.kind == "service" and not self.acting) or self.org_kind in ("operator", "department")

    def has(self, *roles: str) -> bool:
        """Whether the caller has at least one of the roles."""
        return bool(self.roles & set(roles))


def claims_of(principal: Principal) -> dict[str, Any]:
    """The JWT claims that carry a principal."""
    return {
        "sub": principal.subject,
        "kind": principal.kind,
        "org": principal.org,
        "org_kind": principal.org_kind,
        "org_name": principal.org_name,
        "roles": sorted(principal.roles),
        "name": principal.name,
        "region": principal.region,
        "plan": principal.plan,
    }


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """The principal that claims carry. Raises TokenInvalid when one is missing."""
    try:
        return Principal(
            subject=str(claims["sub"]),
            kind=claims["kind"],
            org=str(claims["org"]),
            org_kind=claims["org_kind"],
            org_name=str(claims.get("org_name", "")),
            roles=frozenset(claims["roles"]),
            name=str(claims.get("name", "")),
            region=str(claims.get("region", "")),
            plan=str(claims.get("plan", "")),
        )
    except KeyError as error:
        raise TokenInvalid(f"令牌缺少 {error.args[0]}，请重新登录") from error


class TokenVerifier:
    """Verifies tokens with the keys that `jwks` gives; asks for them again when a token names an unknown key.

    A verdict is remembered until the token ends: a signature costs 0.1 ms, a look-up nothing. Safe among threads.
    """

    # A flood of tokens with made-up keys must not become a flood of calls to identity.
    REFRESHES = 5
    REFRESH_PERIOD_S = 30.0

    def __init__(self, jwks: Callable[[], dict[str, Any]], audience: str = AUDIENCE) -> None:
        self._jwks = jwks
        self._audience = audience
        self._keys: dict[str, Any] = {}
        self._asked: deque[float] = deque(maxlen=self.REFRESHES)
        self._lock = threading.Lock()
        self._verdicts: dict[str, tuple[float, Principal]] = {}

    def verify(self, token: str) -> Principal:
        """The principal of a valid token. Raises TokenExpired, TokenInvalid, or Unavailable when keys cannot be had."""
        known = self.remembered(token)
        if known is not None:
            return known
        claims = self._claims(token)
        principal = principal_of(claims)
        if len(self._verdicts) >= CACHED_TOKENS:
            self._verdicts.clear()
        self._verdicts[token] = (float(claims["exp"]), principal)
        return principal

    def remembered(self, token: str) -> Principal | None:
        """The principal of a token verified before, None for another; never waits. Raises TokenExpired."""
        known = self._verdicts.get(token)
        if known is None:
            return None
        if known[0] + LEEWAY_S <= time.time():
            raise TokenExpired("令牌已过期，请重新登录或重新换取")
        return known[1]

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            return jwt.decode(
                token,
                self._key(kid),
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired("令牌已过期，请重新登录或重新换取") from error
        except jwt.PyJWTError as error:
            raise TokenInvalid("令牌无效，请重新登录或检查密钥") from error

    def _key(self, kid: str) -> Any:
        if kid not in self._keys:
            self._refresh(kid)
        if kid not in self._keys:
            raise TokenInvalid("令牌的签名密钥未知，请重新登录")
        return self._keys[kid]

    def _refresh(self, kid: str) -> None:
        import jwt

        with self._lock:
            if kid in self._keys:
                return
            now = time.monotonic()
            if len(self._asked) == self.REFRESHES and now - self._asked[0] < self.REFRESH_PERIOD_S:
                return
            self._asked.append(now)
            body = self._jwks()
            self._keys = {item["kid"]: jwt.PyJWK.from_dict(item).key for item in body["keys"]}


def bearer_token(request: Request) -> str:
    """The token of a request. Raises CredentialsMissing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise CredentialsMissing("缺少凭据：请在 Authorization 头中带 Bearer 令牌或密钥")
    return token.strip()


async def current_principal(request: Request) -> Principal:
    """The verified principal of a request, for routes of a service made by `create_app`."""
    verifier = cast(TokenVerifier, request.app.state.tokens)
    token = bearer_token(request)
    # A token seen before costs no thread; a new one may have to wait for identity's keys.
    known = verifier.remembered(token)
    return known if known is not None else cast(Principal, await run_in_threadpool(verifier.verify, token))


Caller = Annotated[Principal, Depends(current_principal)]


def require(*roles: str) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that asks for one of the roles. Raises NotPermitted (403) naming them."""
    unknown = set(roles) - ROLES
    if unknown:
        raise ValueError(f"unknown roles: {sorted(unknown)}")

    async def permitted(caller: Caller) -> Principal:
        if not caller.has(*roles):
            wanted = "、".join(roles)
            raise NotPermitted(f"需要角色 {wanted}，当前凭据没有；请联系平台运营方", required=list(roles))
        return caller

    permitted.required_roles = roles  # type: ignore[attr-defined]
    return permitted


def public(reason: str) -> Callable[[Endpoint], Endpoint]:
    """Marks an endpoint as open to everybody, with the reason; an architecture test finds unmarked ones."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.public_reason = reason  # type: ignore[attr-defined]
        return endpoint

    return mark


def public_reason(endpoint: Callable[..., Any]) -> str | None:
    """Why an endpoint is public; None when it is not."""
    return getattr(endpoint, "public_reason", None)
