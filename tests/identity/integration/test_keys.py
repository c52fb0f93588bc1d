"""API keys: two live ones, rotation, expiry, revocation, and the exact codes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import DatabaseUnavailable
from identity.service.key_uses import KeyUses
from identity.store import people
from identity.store.tables import keys

from tests.identity.brain import Brain


def test_a_key_speaks_for_its_organisation(brain: Brain) -> None:
    """The token of a key carries organisation, kind, roles and region."""
    uscc = brain.organisation("enterprise", region="370305")
    made = brain.key(uscc)
    reply = brain.verify(made["key"]).json()

    assert reply["key_id"] == made["id"]
    assert reply["principal"]["org"] == uscc
    assert (reply["principal"]["kind"], reply["principal"]["org_kind"]) == ("key", "enterprise")
    assert (reply["principal"]["roles"], reply["principal"]["region"]) == (["manager"], "370305")
    assert reply["expires_in"] == 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "bk_000000000000_" + "A" * 43,
        "bk_short_" + "A" * 43,
        "bk_000000000000_" + "A" * 43 + "\n",
        "bk_' OR 1=1 --_" + "A" * 43,
    ],
)
def test_what_is_no_key_is_unknown(brain: Brain, text: str) -> None:
    """Bad form and unknown id answer alike."""
    reply = brain.verify(text)
    assert (reply.status, reply.json()["code"]) == (401, "key_unknown")


def test_a_key_with_one_character_changed_is_unknown(brain: Brain) -> None:
    """The id alone opens nothing."""
    text = brain.key(brain.organisation())["key"]
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")

    assert brain.verify(changed).json()["code"] == "key_unknown"


def test_two_keys_of_one_name_may_live_and_no_third(brain: Brain) -> None:
    """The second is for changing over; a key of another name is free."""
    uscc = brain.organisation()
    brain.key(uscc)
    brain.key(uscc)
    body = {"org": uscc, "name": "ERP"}

    assert brain.code("POST", "/v1/keys", brain.operator, json=body) == (409, "too_many_keys")
    assert brain.key(uscc, "MES")["state"] == "active"


def test_no_third_key_comes_of_requests_at_the_same_moment(brain: Brain) -> None:
    """Eight at once leave exactly two."""
    uscc = brain.organisation()
    body = {"org": uscc, "name": "ERP"}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: brain.call("POST", "/v1/keys", brain.operator, json=body), range(8)))

    assert sorted(reply.status for reply in replies) == [201, 201] + [409] * 6


def test_rotation_gives_a_successor_while_the_old_key_works_seven_days(brain: Brain) -> None:
    """Both work; the old one's end is told; a second rotation waits for the old key's end."""
    holder = brain.holder()
    rotated = brain.json("POST", f"/v1/keys/{holder.key_id}/rotate", holder.token)
    ends = datetime.fromisoformat(rotated["previous_expires_at"])

    assert rotated["previous"] == holder.key_id
    assert abs(ends - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert brain.verify(rotated["key"]).status == 200
    assert brain.verify(holder.key).status == 200
    again = brain.code("POST", f"/v1/keys/{rotated['id']}/rotate", holder.token)
    assert again == (409, "too_many_keys")


def test_a_revoked_key_ends_at_once_and_has_no_successor(brain: Brain) -> None:
    """Revoking twice is the same as once; other keys of the organisation go on."""
    holder = brain.holder()
    other = brain.key(holder.uscc, "MES")
    statuses = [brain.call("DELETE", f"/v1/keys/{holder.key_id}", brain.operator).status for _ in range(2)]

    assert statuses == [204, 204]
    assert brain.verify(holder.key).json()["code"] == "key_revoked"
    assert brain.verify(other["key"]).status == 200
    rotation = brain.code("POST", f"/v1/keys/{holder.key_id}/rotate", brain.operator)
    assert rotation == (409, "key_not_active")


def test_an_expired_key_says_so(brain: Brain) -> None:
    """The code tells expiry from revocation."""
    uscc = brain.organisation()
    soon = (utc_now() + timedelta(hours=1)).isoformat()
    made = brain.key(uscc, expires_at=soon)
    assert brain.verify(made["key"]).status == 200

    with brain.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(sa.update(keys).where(keys.c.id == made["id"]).values(expires_at=past))
    assert brain.verify(made["key"]).json()["code"] == "key_expired"
    assert brain.key(uscc)["state"] == "active"


def test_an_expiry_without_zone_is_refused(brain: Brain) -> None:
    """A time without zone would be a guess."""
    body = {"org": brain.organisation(), "name": "ERP", "expires_at": "2030-01-01T00:00:00"}
    reply = brain.call("POST", "/v1/keys", brain.operator, json=body)

    assert (reply.status, reply.json()["code"]) == (422, "fields_invalid")
    assert reply.json()["errors"][0]["field"] == "expires_at"


def test_lists_show_states_and_never_secrets(brain: Brain) -> None:
    """The secret part of a key leaves the platform once, when it is made."""
    holder = brain.holder()
    second = brain.key(holder.uscc, "MES")
    brain.call("DELETE", f"/v1/keys/{second['id']}", brain.operator)
    reply = brain.call("GET", "/v1/keys", holder.token)

    states = {item["id"]: item["state"] for item in reply.json()["items"]}
    assert states == {holder.key_id: "active", second["id"]: "revoked"}
    for text in (holder.key, second["key"]):
        assert text.split("_", 2)[2] not in reply.content.decode()


def test_the_moment_of_last_use_is_shown(brain: Brain) -> None:
    """So that an unused key can be found and revoked."""
    made = brain.key(brain.organisation())
    page = brain.json("GET", "/v1/keys", brain.operator, params={"org": made["org"]})
    assert page["items"][0]["last_used_at"] is None

    brain.verify(made["key"])
    assert abs(datetime.now(UTC) - _last_used(brain, made["org"])) < timedelta(minutes=1)


def _last_used(brain: Brain, org: str) -> datetime:
    """When the only key of an organisation was last used; waits until that is written."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        page = brain.json("GET", "/v1/keys", brain.operator, params={"org": org})
        if page["items"][0]["last_used_at"] is not None:
            return datetime.fromisoformat(page["items"][0]["last_used_at"])
        time.sleep(0.1)
    raise AssertionError("the use of the key was never written")


def test_uses_that_could_not_be_written_are_written_later(brain: Brain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away for a moment; what the end of the process finds noted is written too."""
    first, second = (brain.key(brain.organisation()) for _ in range(2))
    uses = KeyUses(brain.database, write_after_s=3600)
    uses.note(first["id"], utc_now())
    with monkeypatch.context() as away:
        away.setattr(people, "mark_keys_used", lambda *_: (_ for _ in ()).throw(DatabaseUnavailable("away")))
        uses.write()
    uses.note(second["id"], utc_now())
    uses.write()
    for made in (first, second):
        assert abs(datetime.now(UTC) - _last_used(brain, made["org"])) < timedelta(minutes=1)


def test_keys_are_verified_for_services_only(brain: Brain) -> None:
    """The route that turns a key into a token is not for users or keys."""
    holder = brain.holder()
    for token in (holder.token, brain.operator):
        reply = brain.code("POST", "/internal/credentials/verify", token, json={"api_key": holder.key})
        assert reply == (403, "not_permitted")


def test_a_service_token_needs_the_service_secret(brain: Brain) -> None:
    """Without it, or with a wrong one, there is none."""
    for headers in ({}, {"x-service-secret": "guess"}, {"x-service-secret": "密".encode().decode("latin-1")}):
        reply = brain.code("POST", "/internal/service-tokens", json={"name": "data-hub"}, headers=headers)
        assert reply == (401, "service_secret_wrong")
