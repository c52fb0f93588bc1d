"""Users: made, disabled, reset, and their passwords."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.identity.brain import PASSWORD, SERIALS, Brain


def test_a_user_gets_the_default_role_of_its_kind(brain: Brain) -> None:
    """The platform's role matrix: departments analyse, enterprises manage, providers provide."""
    given = {kind: brain.user(brain.organisation(kind))["roles"] for kind in ("department", "enterprise", "provider")}

    assert given == {"department": ["analyst"], "enterprise": ["manager"], "provider": ["provider"]}


@pytest.mark.parametrize(
    ("password", "missing"),
    [
        ("Ab1-", "至少 10 位"),
        ("alllowercase", "三种"),
        ("lower12345678", "三种"),
        ("Xu-somebody-99", "登录名"),
        ("Aa1-" * 51, "不超过 200 位"),
    ],
)
def test_a_weak_password_is_refused_with_what_is_missing(brain: Brain, password: str, missing: str) -> None:
    """The answer names the rule, never the password."""
    body = {"org": brain.home_org, "login": "somebody", "name": "x", "password": password}
    reply = brain.call("POST", "/v1/users", brain.operator, json=body)

    assert (reply.status, reply.json()["code"]) == (422, "password_weak")
    assert missing in reply.json()["detail"]
    assert password not in reply.content.decode()


def test_a_login_name_is_taken_once(brain: Brain) -> None:
    """Also when two ask at the same moment, and whichever organisation asks."""
    login = f"u{next(SERIALS)}"
    bodies = [{"org": brain.organisation(), "login": login, "name": "x", "password": PASSWORD} for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda body: brain.call("POST", "/v1/users", brain.operator, json=body), bodies))

    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert {reply.json()["code"] for reply in replies if reply.status == 409} == {"user_exists"}


def test_disabling_a_user_ends_its_sign_ins(brain: Brain) -> None:
    """A disabled user can neither renew nor sign in; enabled again it can."""
    user = brain.user(brain.organisation())
    token = brain.sign_in(user["login"], PASSWORD)["refresh_token"]
    changed = brain.json("PATCH", f"/v1/users/{user['id']}", brain.operator, json={"state": "disabled"})
    attempt = {"user": user["login"], "password": PASSWORD}

    assert changed["state"] == "disabled"
    assert brain.code("POST", "/v1/sessions/refresh", json={"refresh_token": token}) == (401, "refresh_refused")
    assert brain.code("POST", "/v1/sessions", json=attempt) == (401, "sign_in_refused")
    brain.json("PATCH", f"/v1/users/{user['id']}", brain.operator, json={"state": "active"})
    assert brain.call("POST", "/v1/sessions", json=attempt).status == 201


def test_an_operator_resets_a_password_and_the_lock(brain: Brain) -> None:
    """After a reset the new password works at once, the old one never again."""
    user = brain.user(brain.organisation())
    for _ in range(5):
        brain.code("POST", "/v1/sessions", json={"user": user["login"], "password": "Wrong-Horse-42"})
    brain.json("PATCH", f"/v1/users/{user['id']}", brain.operator, json={"password": "Battery-Staple-7"})

    assert brain.sign_in(user["login"], "Battery-Staple-7")["principal"]["sub"] == user["id"]
    old = {"user": user["login"], "password": PASSWORD}
    assert brain.code("POST", "/v1/sessions", json=old) == (401, "sign_in_refused")


def test_a_user_changes_its_own_password_knowing_the_old_one(brain: Brain) -> None:
    """Every sign-in ends with it; a wrong old password changes nothing."""
    user = brain.user(brain.organisation())
    tokens = brain.sign_in(user["login"], PASSWORD)
    wrong = {"old_password": "Wrong-Horse-42", "new_password": "Battery-Staple-7"}
    right = wrong | {"old_password": PASSWORD}

    assert brain.code("POST", "/v1/me/password", tokens["access_token"], json=wrong) == (401, "sign_in_refused")
    assert brain.call("POST", "/v1/me/password", tokens["access_token"], json=right).status == 204
    renewal = {"refresh_token": tokens["refresh_token"]}
    assert brain.code("POST", "/v1/sessions/refresh", json=renewal) == (401, "refresh_refused")
    assert brain.sign_in(user["login"], "Battery-Staple-7")["principal"]["sub"] == user["id"]


def test_guessing_the_old_password_locks_as_signing_in_does(brain: Brain) -> None:
    """A stolen access token is no way around the lock."""
    user = brain.user(brain.organisation())
    token = brain.sign_in(user["login"], PASSWORD)["access_token"]
    wrong = {"old_password": "Wrong-Horse-42", "new_password": "Battery-Staple-7"}
    codes = [brain.code("POST", "/v1/me/password", token, json=wrong)[1] for _ in range(6)]

    assert codes == ["sign_in_refused"] * 5 + ["sign_in_locked"]


def test_a_manager_makes_users_of_its_own_organisation_only(brain: Brain) -> None:
    """Another organisation looks as if it did not exist."""
    holder, other = brain.holder(), brain.organisation()

    def add(org: str) -> int:
        body = {"org": org, "login": f"u{next(SERIALS)}", "name": "x", "password": PASSWORD, "roles": ["member"]}
        return brain.call("POST", "/v1/users", holder.token, json=body).status

    assert (add(holder.uscc), add(other)) == (201, 404)


def test_users_are_listed_by_pages_without_gap_or_repeat(brain: Brain) -> None:
    """Keyset pages of one organisation hold each user once."""
    holder = brain.holder()
    made = {brain.user(holder.uscc)["id"] for _ in range(5)}
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = brain.json("GET", "/v1/users", holder.token, params={"limit": 2, "after": after})
        seen += [user["id"] for user in page["items"]]
        after = page["next"]

    assert len(seen) == 5
    assert set(seen) == made
