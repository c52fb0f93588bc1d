"""Who calls: API keys looked up at identity and remembered, tokens verified offline."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from brain_kit.auth import CredentialsMissing, Principal, TokenInvalid, principal_of
from brain_kit.problems import Problem, Unauthenticated, Unavailable
from brain_kit.service import Platform
from starlette.concurrency import run_in_threadpool

TOKEN_MARGIN_S = 20.0
REFUSED_S = 1.0
KEPT = 20_000
LONGEST_KEY = 100
# What identity says of a key. Any other 401 is about this gateway's own credentials and not the caller's fault.
ABOUT_KEYS = frozenset({"key_unknown", "key_expired", "key_revoked", "organisation_suspended"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verified caller: the header that goes upstream, who it is, until when the verdict holds (monotonic seconds)."""

    authorization: bytes
    principal: Principal
    looked_up: float
    ends: float


class Credentials:
    """Remembers verdicts; a key that is in use is looked up again every few seconds, and at once after a change.

    While identity is away, known keys go on until their token ends; unknown ones get 503, never 401.
    """

    def __init__(self, platform: Platform, age_s: float) -> None:
        self._platform = platform
        self._age_s = age_s
        self._verdicts: dict[bytes, Verdict] = {}
        self._refused: dict[bytes, tuple[float, Unauthenticated]] = {}
        self._changes = 0

    def fresh(self, text: str) -> Verdict | None:
        """The verdict on a key or token that needs no look-up; None: ask `verify`. Never waits."""
        known = self._verdicts.get(_digest(text))
        return known if known is not None and self._is_fresh(known, time.monotonic()) else None

    async def verify(self, text: str) -> Verdict:
        """The verdict on a key or token. Raises Unauthenticated with an exact code, or Unavailable."""
        if not text:
            raise CredentialsMissing("缺少凭据：请在 Authorization: Bearer 或 X-API-Key 头中带上密钥或令牌")
        digest = _digest(text)
        now = time.monotonic()
        known = self._verdicts.get(digest)
        if known is not None and self._is_fresh(known, now):
            return known
        refused = self._refused.get(digest)
        if refused is not None and now < refused[0]:
            raise refused[1]
        changes = self._changes
        try:
            verdict = await run_in_threadpool(self._look_up, text)
        except Unauthenticated as problem:
            self._verdicts.pop(digest, None)
            self._keep_small(self._refused)
            self._refused[digest] = (now + REFUSED_S, problem)
            raise
        except Unavailable:
            if known is not None and now < known.ends:
                return known
            raise
        # A verdict that was asked for before a change may already be wrong: good for this request, not for the next.
        if changes == self._changes:
            self._keep_small(self._verdicts)
            self._verdicts[digest] = verdict
        return verdict

    def forget(self) -> None:
        """Drops every verdict, after a change of keys or organisations."""
        self._changes += 1
        self._verdicts.clear()
        self._refused.clear()

    def _is_fresh(self, verdict: Verdict, now: float) -> bool:
        return now < verdict.ends and now - verdict.looked_up < self._age_s

    def _look_up(self, text: str) -> Verdict:
        now = time.monotonic()
        if not text.startswith("bk_"):
            principal = self._platform.tokens.verify(text)
            if principal.kind == "service":
                raise TokenInvalid("服务令牌不能用于开放网关")
            return Verdict(f"Bearer {text}".encode("latin-1"), principal, now, now + self._age_s)
        if len(text) > LONGEST_KEY:
            raise _unauthenticated("key_unknown", "密钥不存在或不正确，请检查是否复制完整")
        client = self._platform.client("identity")
        try:
            body = client.request("POST", "/internal/credentials/verify", json={"api_key": text}, timeout_s=5).json()
        except Problem as problem:
            if problem.code in ABOUT_KEYS:
                raise _unauthenticated(problem.code, problem.detail) from problem
            raise Unavailable("身份服务暂时无法核对密钥，请稍后重试") from problem
        ends = now + float(body["expires_in"]) - TOKEN_MARGIN_S
        return Verdict(f"Bearer {body['token']}".encode(), principal_of(body["principal"]), now, ends)

    @staticmethod
    def _keep_small(kept: dict[bytes, Any]) -> None:
        if len(kept) >= KEPT:
            kept.clear()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _unauthenticated(code: str, detail: str) -> Unauthenticated:
    kind = type("KeyRefused", (Unauthenticated,), {"code": code})
    refused: Unauthenticated = kind(detail)
    return refused
