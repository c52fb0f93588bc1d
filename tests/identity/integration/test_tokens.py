"""Signing keys: rotated without an interruption, sealed in the database, shared by processes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from brain_kit.auth import Principal, TokenInvalid, TokenVerifier
from brain_kit.clock import utc_now
from brain_kit.database import Database
from identity.service.tokens import TokenSigner
from identity.store.tables import metadata, signing_keys

SECRET = "s" * 40
PERSON = Principal("usr_1", "user", "91370300MA3C00001U", "enterprise", roles=frozenset({"member"}), name="张三")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of identity."""
    url = f"sqlite:///{tmp_path}/i.db" if request.param == "sqlite" else request.getfixturevalue("database_url")
    made = Database(url, name="identity")
    metadata.create_all(made.engine)
    return made


def signer_of(database: Database, secret: str = SECRET) -> TokenSigner:
    """A signer as one process has it."""
    return TokenSigner(database, secret, lifetime_s=300, rotation_days=30)


def age(database: Database, **by: float) -> None:
    """Moves every signing key into the past."""
    span = timedelta(**by)
    with database.transaction() as session:
        for row in session.execute(sa.select(signing_keys)).all():
            retired = row.retired_at - span if row.retired_at else None
            values = {"created_at": row.created_at - span, "retired_at": retired}
            session.execute(sa.update(signing_keys).where(signing_keys.c.kid == row.kid).values(**values))


def kid_of(token: str) -> str:
    """The key that a token names."""
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_token_carries_the_principal_for_its_lifetime(database: Database) -> None:
    """The verifier gives back who was signed; the claims are those of RFC 7519."""
    signer = signer_of(database)
    token = signer.sign(PERSON)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert TokenVerifier(signer.jwks).verify(token) == PERSON
    assert claims["exp"] - claims["iat"] == 300
    assert (claims["iss"], claims["aud"], claims["sub"]) == ("brain-identity", "brain", "usr_1")
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"


def test_a_token_does_not_outlive_the_key_it_was_given_for(database: Database) -> None:
    """A key that expires in ten seconds gives a token of ten seconds."""
    token = signer_of(database).sign(PERSON, until=utc_now() + timedelta(seconds=10))
    claims = jwt.decode(token, options={"verify_signature": False})

    assert 8 <= claims["exp"] - claims["iat"] <= 10


def test_the_key_set_holds_public_parts_only(database: Database) -> None:
    """No private member (RFC 8037: d) is told."""
    keys: list[dict[str, Any]] = signer_of(database).jwks()["keys"]

    assert [key["kty"] for key in keys] == ["OKP"]
    assert all("d" not in key for key in keys)


def test_after_a_rotation_old_tokens_still_verify_and_the_new_key_signs_later(database: Database) -> None:
    """The new key is told at once and signs once every process has seen it."""
    signer = signer_of(database)
    before = signer.sign(PERSON)
    new = signer.rotate()
    told = [key["kid"] for key in signer.jwks()["keys"]]

    assert set(told) == {new, kid_of(before)}
    assert kid_of(signer.sign(PERSON)) == kid_of(before)

    age(database, minutes=3)
    fresh = signer_of(database)
    after = fresh.sign(PERSON)
    verifier = TokenVerifier(fresh.jwks)
    assert kid_of(after) == new
    assert verifier.verify(before) == verifier.verify(after) == PERSON


def test_a_process_that_has_not_looked_again_knows_the_key_of_one_that_has(database: Database) -> None:
    """Tokens of one replica verify with the keys that another replica read just before the new key began to sign."""
    signer_of(database).sign(PERSON)
    signer_of(database).rotate()
    slow = signer_of(database)
    slow.jwks()  # read while the key was told and did not sign yet
    age(database, minutes=3)

    token = signer_of(database).sign(PERSON)
    assert TokenVerifier(slow.jwks).verify(token) == PERSON


def test_a_retired_key_is_forgotten_when_its_tokens_have_ended(database: Database) -> None:
    """Afterwards its tokens are no longer known."""
    signer = signer_of(database)
    old = kid_of(signer.sign(PERSON))
    second = signer.rotate()
    age(database, hours=3)
    third = signer.rotate()
    told = {key["kid"] for key in signer_of(database).jwks()["keys"]}

    assert old not in told
    assert told == {second, third}


def test_rotation_happens_when_the_key_is_older_than_its_period(database: Database) -> None:
    """Not before; and again only after the next period."""
    signer = signer_of(database)
    signer.sign(PERSON)
    signer.rotate_when_due()
    assert len(signer.jwks()["keys"]) == 1

    age(database, days=31)
    signer.rotate_when_due()
    signer.rotate_when_due()
    assert len(signer.jwks()["keys"]) == 2


def test_processes_that_start_together_use_one_key(database: Database) -> None:
    """The first start makes exactly one signing key."""
    kids = {kid_of(signer_of(database).sign(PERSON)) for _ in range(3)}

    assert len(kids) == 1


def test_private_keys_are_sealed_with_the_service_secret(database: Database) -> None:
    """With another secret nobody signs with the old key; its tokens go on verifying, a new key signs at once."""
    before = signer_of(database).sign(PERSON)
    other = signer_of(database, "t" * 40)
    after = other.sign(PERSON)

    assert kid_of(after) != kid_of(before)
    assert TokenVerifier(other.jwks).verify(before) == PERSON
    with database.reading() as session:
        sealed = session.execute(sa.select(signing_keys.c.sealed)).scalars().all()
    assert all(len(bytes(item)) > 64 for item in sealed)  # 32 bytes of key, and the seal around it


def test_another_platforms_token_is_refused(database: Database, tmp_path: Path) -> None:
    """Keys of another database do not verify here."""
    elsewhere = Database(f"sqlite:///{tmp_path}/other.db", name="identity")
    metadata.create_all(elsewhere.engine)
    token = signer_of(elsewhere).sign(PERSON)

    with pytest.raises(TokenInvalid):
        TokenVerifier(signer_of(database).jwks).verify(token)
