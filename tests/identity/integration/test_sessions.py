"""Signing in, staying signed in, and what ends it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import identity.main
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from identity.store.tables import refresh_tokens, sign_in_attempts

from tests.identity.brain import PASSWORD, Brain


def test_the_first_start_makes_one_operator_and_later_starts_none(fresh: Brain) -> None:
    """The password is told once: a second start, also of another process, gives no credentials."""
    assert identity.main.bootstrap(fresh.platform) is None
    other = Platform(PlatformSettings(home=fresh.platform.settings.home))
    assert identity.main.bootstrap(other) is None
    other.close()

    page = fresh.json("GET", "/v1/users", fresh.operator)
    assert [user["login"] for user in page["items"]] == ["operator"]


def test_the_first_key_and_password_are_the_operators(fresh: Brain) -> None:
    """Both first credentials act for the same organisation with the operator's role."""
    by_key = fresh.json("GET", "/v1/me", fresh.token_of(fresh.first.api_key))
    by_password = fresh.json("GET", "/v1/me", fresh.operator)

    assert by_key["org"] == by_password["org"]
    assert "operator" in by_key["roles"]
    assert "operator" in by_password["roles"]
    assert (by_key["kind"], by_password["kind"]) == ("key", "user")


def test_the_audit_trail_begins_with_the_first_start(brain: Brain) -> None:
    """Who runs the platform did not come out of nothing: the first record says that and when it was made."""
    org = brain.json("GET", "/v1/me", brain.operator)["org"]
    begun = [record for record in brain.audit_of(org) if record["action"] == "platform.begin"]
    assert [(record["subject"], record["seq"]) for record in begun] == [("service:identity", 1)]
    assert brain.first.api_key.split("_")[1] == begun[0]["detail"]["key"]


def test_passwords_and_keys_are_stored_as_hashes_only(fresh: Brain) -> None:
    """Neither the password nor a key's secret stands anywhere in the database file."""
    with fresh.database.engine.connect() as connection:
        connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    stored = fresh.database.path.read_bytes()

    assert b"$argon2id$" in stored
    assert fresh.first.password.encode() not in stored
    assert fresh.first.api_key.split("_", 2)[2].encode() not in stored


def test_wrong_password_and_unknown_user_look_the_same(brain: Brain) -> None:
    """Status, code and text do not tell which of the two was wrong."""
    login = brain.user(brain.organisation())["login"]
    wrong = brain.call("POST", "/v1/sessions", json={"user": login, "password": "Wrong-Horse-42"})
    unknown = brain.call("POST", "/v1/sessions", json={"user": "nobody.here", "password": "Wrong-Horse-42"})

    assert wrong.status == unknown.status == 401
    assert wrong.json()["code"] == "sign_in_refused"
    assert {k: v for k, v in wrong.json().items() if k != "request_id"} == {
        k: v for k, v in unknown.json().items() if k != "request_id"
    }


def test_five_wrong_passwords_lock_the_account_for_a_quarter_of_an_hour(brain: Brain) -> None:
    """The sixth attempt is refused even with the right password, and says when to come again; then it works."""
    user = brain.user(brain.organisation())
    attempt = {"user": user["login"], "password": "Wrong-Horse-42"}
    codes = [brain.code("POST", "/v1/sessions", json=attempt)[1] for _ in range(5)]
    locked = brain.call("POST", "/v1/sessions", json=attempt | {"password": PASSWORD})

    assert codes == ["sign_in_refused"] * 5
    assert (locked.status, locked.json()["code"]) == (429, "sign_in_locked")
    assert 14 * 60 < int(locked.headers["retry-after"]) <= 15 * 60

    with brain.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(sa.update(sign_in_attempts).values(locked_until=past))
    assert brain.sign_in(user["login"], PASSWORD)["principal"]["sub"] == user["id"]


def test_four_wrong_passwords_are_forgotten_after_a_right_one(brain: Brain) -> None:
    """The count starts again at each sign-in."""
    login = brain.user(brain.organisation())["login"]
    for _ in range(2):
        for _ in range(4):
            brain.code("POST", "/v1/sessions", json={"user": login, "password": "Wrong-Horse-42"})
        assert brain.sign_in(login, PASSWORD)["token_type"] == "Bearer"


def test_wrong_passwords_at_the_same_moment_are_all_counted(brain: Brain) -> None:
    """Guessing in parallel locks as surely as guessing in a row."""
    login = brain.user(brain.organisation())["login"]
    attempt = {"user": login, "password": "Wrong-Horse-42"}
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: brain.code("POST", "/v1/sessions", json=attempt), range(5)))

    assert brain.code("POST", "/v1/sessions", json=attempt | {"password": PASSWORD}) == (429, "sign_in_locked")


def test_a_refused_sign_in_leaves_an_audit_record(brain: Brain) -> None:
    """Who watches the log sees the guessing."""
    user = brain.user(brain.organisation())
    brain.code("POST", "/v1/sessions", json={"user": user["login"], "password": "Wrong-Horse-42"})

    refused = [item for item in brain.audit_of(user["id"], at_least=2) if item["outcome"] == "refused"]
    assert [(item["action"], item["org"]) for item in refused] == [("session.open", user["org"])]


def test_a_refresh_token_is_spent_by_its_use(brain: Brain) -> None:
    """Each renewal gives a new refresh token; the access token works."""
    login = brain.user(brain.organisation())["login"]
    first = brain.sign_in(login, PASSWORD)
    second = brain.json("POST", "/v1/sessions/refresh", json={"refresh_token": first["refresh_token"]})

    assert second["refresh_token"] != first["refresh_token"]
    assert brain.json("GET", "/v1/me", second["access_token"])["sub"] == first["principal"]["sub"]


def test_a_refresh_token_used_twice_ends_the_whole_sign_in(brain: Brain) -> None:
    """One of the two users stole it: the successor is refused too, another sign-in of the user is not."""
    login = brain.user(brain.organisation())["login"]
    first, other = brain.sign_in(login, PASSWORD), brain.sign_in(login, PASSWORD)
    second = brain.json("POST", "/v1/sessions/refresh", json={"refresh_token": first["refresh_token"]})

    def renewed(token: str) -> tuple[int, str]:
        return brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": token})

    assert renewed(first["refresh_token"]) == (401, "refresh_refused")
    assert renewed(second["refresh_token"]) == (401, "refresh_refused")
    assert brain.call("POST", "/v1/sessions/refresh", json={"refresh_token": other["refresh_token"]}).status == 200


def test_of_two_renewals_at_the_same_moment_one_succeeds(brain: Brain) -> None:
    """A refresh token never gives two successors."""
    login = brain.user(brain.organisation())["login"]
    token = brain.sign_in(login, PASSWORD)["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        replies = list(
            pool.map(lambda _: brain.call("POST", "/v1/sessions/refresh", json={"refresh_token": token}), range(4))
        )

    assert sorted(reply.status for reply in replies) == [200, 401, 401, 401]


def test_signing_out_ends_the_refresh_token_and_repeats_are_harmless(brain: Brain) -> None:
    """Revoking answers the same for a live, a spent and an unknown token."""
    login = brain.user(brain.organisation())["login"]
    token = brain.sign_in(login, PASSWORD)["refresh_token"]
    statuses = [
        brain.call("POST", "/v1/sessions/revoke", json={"refresh_token": text}).status for text in (token, token, "x")
    ]

    assert statuses == [204, 204, 204]
    assert brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": token}) == (401, "refresh_refused")


def test_a_refresh_token_ends_with_its_days(brain: Brain) -> None:
    """After the time without use the user signs in again."""
    user = brain.user(brain.organisation())
    token = brain.sign_in(user["login"], PASSWORD)["refresh_token"]
    with brain.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(sa.update(refresh_tokens).where(refresh_tokens.c.user_id == user["id"]).values(expires_at=past))

    assert brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": token}) == (401, "refresh_refused")


def test_a_suspended_organisation_can_neither_sign_in_nor_renew_nor_use_keys(brain: Brain) -> None:
    """Suspension reaches users, sign-ins and keys; activation brings them back."""
    holder = brain.holder()
    login = brain.user(holder.uscc)["login"]
    token = brain.sign_in(login, PASSWORD)["refresh_token"]
    brain.json("PATCH", f"/v1/organisations/{holder.uscc}", brain.operator, json={"state": "suspended"})

    attempt = {"user": login, "password": PASSWORD}
    assert brain.code("POST", "/v1/sessions", json=attempt) == (401, "organisation_suspended")
    assert brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": token}) == (401, "refresh_refused")
    assert brain.verify(holder.key).json()["code"] == "organisation_suspended"

    brain.json("PATCH", f"/v1/organisations/{holder.uscc}", brain.operator, json={"state": "active"})
    assert brain.verify(holder.key).status == 200
