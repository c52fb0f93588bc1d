"""Principals and the offline verification of tokens."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from brain_kit import auth
from brain_kit.auth import (
    Principal,
    TokenExpired,
    TokenInvalid,
    TokenVerifier,
    claims_of,
    principal_of,
    public,
    require,
)
from brain_kit.problems import Unavailable
from hypothesis import given
from hypothesis import strategies as st

from tests.brain_kit.signing import CLAIMS, Signer


class KeySet:
    """Identity's keys as a verifier asks for them."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.asked = 0

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        return {"keys": [signer.jwk for signer in self.signers]}


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def keys(signer: Signer) -> KeySet:
    return KeySet(signer)


@pytest.fixture
def verifier(keys: KeySet) -> TokenVerifier:
    return TokenVerifier(keys)


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    """A token put together by hand, with an empty signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


def test_a_good_token_gives_its_principal(verifier: TokenVerifier, signer: Signer) -> None:
    """Every claim arrives."""
    principal = verifier.verify(signer.token())

    assert principal == Principal(
        subject="usr_1",
        kind="user",
        org="12370000000000000R",
        org_kind="operator",
        org_name="运营方",
        roles=frozenset({"operator"}),
        name="张伟",
        region="370000",
        plan="",
    )
    assert principal.is_operator


def test_keys_are_asked_for_once(verifier: TokenVerifier, signer: Signer, keys: KeySet) -> None:
    """Verification is offline: neither another token nor the same one costs a call."""
    for number in range(20):
        assert verifier.verify(signer.token(sub=f"usr_{number}")).subject == f"usr_{number}"

    assert keys.asked == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"iss": "somebody"},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"roles": None},
        {"org": None},
    ],
)
def test_a_token_for_somebody_else_or_without_a_claim_is_refused(
    verifier: TokenVerifier, signer: Signer, changes: dict[str, Any]
) -> None:
    """A token names whom it is for, who made it, when it ends and who holds it."""
    with pytest.raises(TokenInvalid):
        verifier.verify(signer.token(**changes))


def test_a_token_ends_after_the_leeway(verifier: TokenVerifier, signer: Signer) -> None:
    """30 seconds are given to clocks that differ, no more."""
    now = int(time.time())

    assert verifier.verify(signer.token(exp=now - 20)).subject == "usr_1"
    with pytest.raises(TokenExpired):
        verifier.verify(signer.token(exp=now - 40))


def test_a_remembered_token_ends_too(verifier: TokenVerifier, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was right five minutes ago is not right now."""
    token = signer.token()
    verifier.verify(token)
    later = time.time() + 400
    monkeypatch.setattr("brain_kit.auth.time.time", lambda: later)

    with pytest.raises(TokenExpired):
        verifier.verify(token)


def test_forged_tokens_are_refused(verifier: TokenVerifier, signer: Signer) -> None:
    """Altered claims, no algorithm, the public key taken as a shared secret, another's signature."""
    good = signer.token(roles=["member"])
    head, _, signature = good.split(".")
    altered = unsigned(signer.claims(roles=["operator"]), {}).split(".")[1]
    stranger = Signer(kid=signer.kid)
    shared = jwt.PyJWK.from_dict(signer.jwk).key.public_bytes_raw()
    as_secret = jwt.encode(signer.claims(), shared, algorithm="HS256", headers={"kid": signer.kid})

    for token in (
        f"{head}.{altered}.{signature}",
        unsigned(signer.claims(), {"alg": "none", "kid": signer.kid}),
        unsigned(signer.claims(), {"alg": "EdDSA", "kid": signer.kid}),
        as_secret,
        stranger.token(),
        good[:-4],
        "",
        "bk_" + "a" * 12,
        "a.b.c",
    ):
        with pytest.raises(TokenInvalid):
            verifier.verify(token)


def test_a_new_signing_key_is_taken_at_once(verifier: TokenVerifier, signer: Signer, keys: KeySet) -> None:
    """Also right after the keys were asked for; tokens of the old key stay good."""
    old = signer.token()
    verifier.verify(old)
    for number in (2, 3):
        newer = Signer(kid=f"sig_{number}")
        keys.signers.append(newer)
        assert verifier.verify(newer.token()).subject == "usr_1"

    assert verifier.verify(old).subject == "usr_1"
    assert keys.asked == 3


def test_made_up_keys_do_not_flood_identity(verifier: TokenVerifier, keys: KeySet) -> None:
    """A thousand tokens of unknown keys cost a handful of calls."""
    for number in range(1000):
        with pytest.raises(TokenInvalid):
            verifier.verify(unsigned({}, {"alg": "EdDSA", "kid": f"none_{number}"}))

    assert 1 <= keys.asked <= TokenVerifier.REFRESHES


def test_known_keys_work_while_identity_is_away(signer: Signer) -> None:
    """The first token needs identity; later ones do not."""
    answers = iter([{"keys": [signer.jwk]}])

    def jwks() -> dict[str, Any]:
        for answer in answers:
            return answer
        raise Unavailable("身份服务暂时无法访问")

    verifier = TokenVerifier(jwks)

    assert verifier.verify(signer.token()).subject == "usr_1"
    assert verifier.verify(signer.token(sub="usr_2")).subject == "usr_2"
    with pytest.raises(Unavailable):
        verifier.verify(Signer(kid="other").token())


@given(roles=st.frozensets(st.sampled_from(sorted(auth.ROLES))), org_kind=st.sampled_from(["operator", "provider"]))
def test_claims_carry_a_whole_principal(roles: frozenset[str], org_kind: Any) -> None:
    """What identity puts into a token is what services read."""
    principal = Principal("k1", "key", "91370300MA3C00001U", org_kind, "甲", roles, "ERP", "370303", "gold")

    assert principal_of(json.loads(json.dumps(claims_of(principal)))) == principal


@pytest.mark.parametrize(
    ("kind", "org_kind", "expected"),
    [
        ("user", "operator", True),
        ("key", "department", True),
        ("service", "operator", True),
        ("key", "enterprise", False),
        ("key", "provider", False),
    ],
)
def test_who_may_see_every_row(kind: Any, org_kind: Any, expected: bool) -> None:
    """Operators, departments and the platform's own services; nobody else."""
    assert principal_of(CLAIMS | {"kind": kind, "org_kind": org_kind}).is_government is expected


def test_a_dependency_on_a_misspelt_role_stops_the_start() -> None:
    """It would otherwise refuse everybody, quietly."""
    with pytest.raises(ValueError, match="operater"):
        require("operater")


def test_a_public_endpoint_says_why() -> None:
    """The architecture test reads the reason."""

    @public("anybody may look")
    def endpoint() -> None: ...

    assert auth.public_reason(endpoint) == "anybody may look"
    assert auth.public_reason(test_a_public_endpoint_says_why) is None


@pytest.mark.parametrize(
    ("roles", "sees_rows"),
    [
        ({"operator"}, True),
        ({"analyst"}, True),
        ({"auditor"}, False),
        ({"agent"}, False),
        ({"auditor", "agent"}, False),
        ({"auditor", "analyst"}, True),
    ],
)
def test_auditors_and_agents_of_the_operator_see_no_rows(roles: set[str], sees_rows: bool) -> None:
    """Who watches over the operators does not read what enterprises push."""
    principal = Principal("u", "key", "91370300MA3C00001U", "operator", roles=frozenset(roles))

    assert principal.is_government is sees_rows
