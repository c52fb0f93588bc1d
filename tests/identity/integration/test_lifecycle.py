"""What happens to keys, roles and sign-ins over time, and how a platform starts and is upgraded."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import identity.main
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.database.migration import migrations_folder
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from identity.service import keys as key_service
from identity.store.tables import keys, metadata, organisations

from tests.identity.brain import PASSWORD, Brain


def told_about(brain: Brain, key_id: str) -> list[str]:
    """The states of a key that other services were told of, oldest first."""
    outbox = metadata.tables["outbox"]
    with brain.database.reading() as session:
        rows = session.execute(sa.select(outbox.c.data).where(outbox.c.key == key_id).order_by(outbox.c.id)).all()
    return [row.data["state"] for row in rows]


def expire(brain: Brain, key_id: str, **ago: float) -> None:
    """Moves the end of a key to a moment near now."""
    with brain.database.transaction() as session:
        moment = utc_now() - timedelta(**ago)
        session.execute(sa.update(keys).where(keys.c.id == key_id).values(expires_at=moment))


def test_the_end_of_a_key_is_told_once(fresh: Brain) -> None:
    """Gateways drop what they remember of it; a revoked one was told of before."""
    ended, revoked, living = (fresh.key(fresh.home_org, name)["id"] for name in ("a", "b", "c"))
    fresh.call("DELETE", f"/v1/keys/{revoked}", fresh.operator)
    for key_id in (ended, revoked):
        expire(fresh, key_id, seconds=1)

    assert [key_service.tell_expired(fresh.database) for _ in range(3)] == [1, 0, 0]
    assert told_about(fresh, ended) == ["active", "expired"]
    assert told_about(fresh, revoked) == ["active", "revoked"]
    assert told_about(fresh, living) == ["active"]


def test_the_token_of_an_ending_key_ends_with_it(brain: Brain) -> None:
    """A gateway must not go on for five minutes with a key that ends in one."""
    made = brain.key(brain.organisation())
    expire(brain, made["id"], seconds=-60)

    assert 50 <= brain.verify(made["key"]).json()["expires_in"] <= 60


def test_a_rotated_key_keeps_roles_and_life(brain: Brain) -> None:
    """Ninety days stay ninety days, a developer's key stays a developer's."""
    ends = utc_now() + timedelta(days=90)
    made = brain.key(brain.organisation(), roles=["developer"], expires_at=ends.isoformat())
    with brain.database.transaction() as session:
        values = {"created_at": utc_now() - timedelta(days=80), "expires_at": utc_now() + timedelta(days=10)}
        session.execute(sa.update(keys).where(keys.c.id == made["id"]).values(**values))

    successor = brain.json("POST", f"/v1/keys/{made['id']}/rotate", brain.operator)

    assert successor["roles"] == ["developer"]
    assert abs(datetime.fromisoformat(successor["expires_at"]) - ends) < timedelta(minutes=1)


def test_a_key_that_would_have_ended_already_is_refused(brain: Brain) -> None:
    """With the field and what to do."""
    body = {"org": brain.organisation(), "name": "ERP", "expires_at": "2020-01-01T00:00:00Z"}
    reply = brain.call("POST", "/v1/keys", brain.operator, json=body)

    assert (reply.status, reply.json()["code"]) == (422, "expiry_invalid")
    assert reply.json()["errors"][0]["field"] == "expires_at"


def test_keys_and_people_get_their_organisations_roles(brain: Brain) -> None:
    """The kind's default; or those that the operator set for the organisation; or those that are named."""
    plain, special = brain.organisation("provider"), brain.organisation("provider", roles=["developer", "provider"])
    shown = brain.json("GET", f"/v1/organisations/{special}", brain.operator)

    assert brain.key(plain)["roles"] == ["provider"]
    assert shown["roles"] == brain.key(special)["roles"] == ["developer", "provider"]
    assert brain.user(special)["roles"] == ["developer", "provider"]
    assert brain.key(special, "read", roles=["developer"])["roles"] == ["developer"]


def test_an_organisation_cannot_be_given_roles_of_another_kind(brain: Brain) -> None:
    """No enterprise becomes an operator by its registration."""
    with pytest.raises(AssertionError, match="roles_invalid"):
        brain.organisation("enterprise", roles=["operator"])


def test_guessing_under_a_name_that_nobody_has_locks_too(brain: Brain) -> None:
    """Otherwise the lock would tell which names exist; guesses side by side count from the first on."""
    attempt = {"user": f"ghost.{brain.home_org}", "password": "Wrong-Horse-42"}
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda _: brain.code("POST", "/v1/sessions", json=attempt), range(12)))

    assert sorted(codes) == [(401, "sign_in_refused")] * 5 + [(429, "sign_in_locked")] * 7


def test_signing_out_everywhere_ends_every_sign_in(brain: Brain) -> None:
    """On the phone, too; a key has nothing to sign out of."""
    holder = brain.holder()
    user = brain.user(holder.uscc)
    first, second = brain.sign_in(user["login"], PASSWORD), brain.sign_in(user["login"], PASSWORD)

    assert brain.call("DELETE", "/v1/sessions", first["access_token"]).status == 204
    for session in (first, second):
        refused = brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": session["refresh_token"]})
        assert refused == (401, "refresh_refused")
    assert brain.code("DELETE", "/v1/sessions", holder.token) == (403, "not_permitted")


def test_an_old_password_cannot_be_guessed_with_a_stolen_token(brain: Brain) -> None:
    """Five tries, then the account is locked as for signing in."""
    user = brain.user(brain.organisation())
    token = brain.sign_in(user["login"], PASSWORD)["access_token"]
    body = {"old_password": "Wrong-Horse-42", "new_password": "Battery-Staple-7"}

    codes = [brain.code("POST", "/v1/me/password", token, json=body)[1] for _ in range(6)]

    assert codes == ["sign_in_refused"] * 5 + ["sign_in_locked"]


def test_a_large_body_is_refused_before_it_is_read(brain: Brain) -> None:
    """Nobody needs 64 kB to sign in."""
    body = {"user": "operator", "password": "x" * 70_000}

    assert brain.code("POST", "/v1/sessions", json=body) == (413, "too_large")


def first_start(home: Path) -> bool:
    """Whether a process that starts here gets the first credentials."""
    platform = Platform(PlatformSettings(home=home))
    try:
        platform.register(identity.main.build(platform))
        return identity.main.bootstrap(platform) is not None
    finally:
        platform.close()


def test_of_processes_that_start_at_once_one_gets_the_credentials(tmp_path: Path) -> None:
    """The password is told exactly once, and there is exactly one operator."""
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        got = pool.map(first_start, [tmp_path] * 3)

    database = Database(f"sqlite:///{tmp_path}/identity.db")
    with database.reading() as session:
        kinds = session.execute(sa.select(organisations.c.kind)).scalars().all()
    database.close()
    assert (sorted(got), kinds) == ([False, False, True], ["operator"])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An empty database."""
    url = f"sqlite:///{tmp_path}/i.db" if request.param == "sqlite" else request.getfixturevalue("database_url")
    made = Database(url, name="identity")
    yield made
    made.close()


def test_the_migrations_make_the_tables_that_the_code_expects(database: Database) -> None:
    """No column, index or constraint differs."""
    database.migrate("identity")

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        differences = compare_metadata(context, metadata)
    assert [item for item in differences if "alembic" not in str(item)] == []


def test_what_was_there_survives_the_upgrade(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An organisation and a key of the first schema are there in the newest."""
    versions = tmp_path / "first_identity/migrations/versions"
    versions.mkdir(parents=True)
    (tmp_path / "first_identity/__init__.py").touch()
    first = next(migrations_folder("identity").glob("versions/0001_*.py"))
    shutil.copy(first, versions)
    monkeypatch.syspath_prepend(str(tmp_path))
    database.migrate("first_identity")
    with database.transaction() as session:
        for statement in OLD_ROWS:
            session.execute(sa.text(statement))

    database.migrate("identity")

    with database.reading() as session:
        organisation = session.execute(sa.select(organisations)).one()
        key = session.execute(sa.select(keys)).one()
    assert (organisation.name, organisation.roles) == ("老机构", None)
    assert (key.id, key.expiry_told) == ("k1", False)


OLD_ROWS = [
    "INSERT INTO organisation (uscc, name, kind, region, plan, state, synthetic, created_at)"
    " VALUES ('91370300MA3C00001U', '老机构', 'enterprise', '370303', '', 'active', false, '2026-01-01 00:00:00+00')",
    "INSERT INTO account (id, org, login, name, password_hash, roles, state, failures, created_at)"
    " VALUES ('u1', '91370300MA3C00001U', 'old', '张三', 'x', '[]', 'active', 3, '2026-01-01 00:00:00+00')",
    "INSERT INTO api_key (id, org, name, secret_hash, roles, created_at)"
    " VALUES ('k1', '91370300MA3C00001U', 'ERP', 'x', '[]', '2026-01-01 00:00:00+00')",
]
