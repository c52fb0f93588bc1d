"""Remembered verdicts: for how long, and what ends them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from brain_kit.auth import Principal, claims_of
from brain_kit.problems import Problem, Unauthenticated, Unavailable, problem_from
from service_portal.gateway.credentials import Credentials

from tests.coroutines import run_async

KEY = "bk_0123456789ab_" + "A" * 43
CLAIMS = claims_of(Principal("k1", "key", "91370300MA3C00001U", "enterprise", roles=frozenset({"member"})))


class FakeIdentity:
    """Answers look-ups; `hold` lets a test act while one is under way."""

    def __init__(self) -> None:
        self.calls = 0
        self.problem: Problem | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.asked = threading.Event()

    def client(self, _service: str) -> FakeIdentity:
        return self

    def request(self, *_args: object, **_options: object) -> FakeIdentity:
        self.calls += 1
        self.asked.set()
        assert self.hold.wait(10)
        if self.problem is not None:
            raise self.problem
        return self

    def json(self) -> dict[str, Any]:
        return {"token": "t", "expires_in": 300, "principal": CLAIMS, "key_id": "k1"}


def credentials_of(identity: FakeIdentity, age_s: float = 60.0) -> Credentials:
    """Credentials that ask the fake."""
    return Credentials(identity, age_s)  # type: ignore[arg-type]


def test_a_verdict_is_remembered_until_its_age() -> None:
    """One look-up for many requests, a new one for each when the age is nothing."""
    identity = FakeIdentity()

    async def calls(credentials: Credentials) -> None:
        for _ in range(3):
            await credentials.verify(KEY)

    run_async(calls(credentials_of(identity)))
    assert identity.calls == 1
    run_async(calls(credentials_of(identity, 0.0)))
    assert identity.calls == 4


def test_a_verdict_asked_for_before_a_change_is_not_remembered() -> None:
    """The key is revoked while its look-up is under way: the next request asks again."""
    identity = FakeIdentity()
    credentials = credentials_of(identity)

    async def scenario() -> None:
        identity.hold.clear()
        under_way = asyncio.ensure_future(credentials.verify(KEY))
        await asyncio.to_thread(identity.asked.wait, 5)
        credentials.forget()
        identity.hold.set()
        await under_way
        identity.problem = problem_from(401, {"code": "key_revoked", "detail": "密钥已停用"})
        with pytest.raises(Unauthenticated) as refused:
            await credentials.verify(KEY)
        assert refused.value.code == "key_revoked"

    run_async(scenario())
    assert identity.calls == 2


@pytest.mark.parametrize("code", ["service_secret_wrong", "token_expired", "not_permitted"])
def test_what_is_wrong_with_the_gateway_is_not_blamed_on_the_key(code: str) -> None:
    """A 401 about the gateway's own token is 503 for the caller."""
    identity = FakeIdentity()
    identity.problem = problem_from(401, {"code": code, "detail": "x"})

    with pytest.raises(Unavailable):
        run_async(credentials_of(identity).verify(KEY))


def test_refusals_are_remembered_for_a_moment_only() -> None:
    """A flood of one bad key does not become a flood of look-ups."""
    identity = FakeIdentity()
    identity.problem = problem_from(401, {"code": "key_unknown", "detail": "x"})
    credentials = credentials_of(identity)

    async def flood() -> None:
        for _ in range(50):
            with pytest.raises(Unauthenticated):
                await credentials.verify(KEY)

    run_async(flood())
    assert identity.calls == 1
