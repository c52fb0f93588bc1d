"""Organisations: registered by USCC, changed by operators, told to the other services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from brain_contracts.codes import make_uscc
from identity.store.tables import metadata

from tests.identity.brain import SERIALS, Brain


def body_of(**changes: Any) -> dict[str, Any]:
    """A valid registration of a new organisation, with changes."""
    uscc = make_uscc("370303", next(SERIALS))
    return {"uscc": uscc, "name": "示例机床有限公司", "kind": "enterprise", "region": "370303"} | changes


def topics_about(brain: Brain, key: str) -> list[str]:
    """Topics of the events about an object, oldest first."""
    outbox = metadata.tables["outbox"]
    with brain.database.reading() as session:
        query = sa.select(outbox.c.topic).where(outbox.c.key == key).order_by(outbox.c.id)
        return [row.topic for row in session.execute(query)]


def test_a_registered_organisation_is_found_again(brain: Brain) -> None:
    """What was given is what is shown; it starts active."""
    body = body_of(synthetic=True)
    made = brain.json("POST", "/v1/organisations", brain.operator, json=body)

    assert body.items() <= made.items()
    assert made["state"] == "active"
    assert brain.json("GET", f"/v1/organisations/{body['uscc']}", brain.operator) == made


@pytest.mark.parametrize(
    ("uscc", "region", "fields"),
    [
        ("91370300MA3C00001X", "370303", ["uscc"]),  # wrong check character
        ("91370300MA3C0000", "370303", ["uscc"]),  # too short
        ("91370300MA3C00001u", "370303", ["uscc"]),  # lower case
        ("91370300MA3C00001U\u0000", "370303", ["uscc"]),
        (None, "999999", ["region"]),
        (None, "37030", ["region"]),
        ("x", "y", ["uscc", "region"]),
    ],
)
def test_a_bad_code_is_refused_naming_the_field(brain: Brain, uscc: str | None, region: str, fields: list[str]) -> None:
    """Every wrong field is named at once, with its value."""
    body = body_of(region=region) | ({"uscc": uscc} if uscc else {})
    reply = brain.call("POST", "/v1/organisations", brain.operator, json=body)

    assert reply.status == 422
    assert [error["field"] for error in reply.json()["errors"]] == fields


@pytest.mark.parametrize("change", [{"kind": "bank"}, {"name": ""}, {"name": "x" * 201}, {"colour": "red"}])
def test_a_malformed_registration_is_refused(brain: Brain, change: dict[str, str]) -> None:
    """Unknown kinds, empty names and unknown fields are named."""
    reply = brain.call("POST", "/v1/organisations", brain.operator, json=body_of(**change))

    assert (reply.status, reply.json()["code"]) == (422, "fields_invalid")
    assert reply.json()["errors"][0]["field"] == next(iter(change))


def test_text_that_a_database_refuses_is_the_callers_error(brain: Brain) -> None:
    """NUL in a name is answered with 422, never with a crash, on every database."""
    reply = brain.call("POST", "/v1/organisations", brain.operator, json=body_of(name="a\u0000b"))

    assert reply.status == 422
    assert reply.json()["errors"][0]["field"] == "name"


def test_an_organisation_is_registered_once(brain: Brain) -> None:
    """Of several requests at the same moment one succeeds, the others get 409."""
    body = body_of()
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: brain.call("POST", "/v1/organisations", brain.operator, json=body), range(4)))

    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert {reply.json()["code"] for reply in replies if reply.status == 409} == {"organisation_exists"}
    assert topics_about(brain, body["uscc"]) == ["brain.identity.organisation.v1"]


def test_changes_are_kept_and_told(brain: Brain) -> None:
    """Name, region and state change; each change is an event."""
    uscc = brain.organisation()
    changed = brain.json(
        "PATCH", f"/v1/organisations/{uscc}", brain.operator, json={"name": "新名", "region": "370305"}
    )

    assert (changed["name"], changed["region"], changed["state"]) == ("新名", "370305", "active")
    assert topics_about(brain, uscc) == ["brain.identity.organisation.v1"] * 2


def test_bad_changes_change_nothing(brain: Brain) -> None:
    """A wrong region, an empty change and suspending oneself are refused; an unknown organisation is not found."""
    uscc = brain.organisation()
    path = f"/v1/organisations/{uscc}"
    before = brain.json("GET", path, brain.operator)

    assert brain.code("PATCH", path, brain.operator, json={"region": "000000"})[0] == 422
    assert brain.code("PATCH", path, brain.operator, json={})[0] == 422
    assert brain.code("PATCH", path, brain.operator, json={"kind": "operator"})[0] == 422
    own = brain.code("PATCH", f"/v1/organisations/{brain.home_org}", brain.operator, json={"state": "suspended"})
    assert own[0] == 422
    unknown = brain.code("PATCH", "/v1/organisations/nobody", brain.operator, json={"name": "x"})
    assert unknown == (404, "organisation_unknown")
    assert brain.json("GET", path, brain.operator) == before


def test_pages_hold_every_organisation_once(brain: Brain) -> None:
    """Keyset pages of a kind, in the order of the USCC."""
    made = {brain.organisation("provider") for _ in range(5)}
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = brain.json(
            "GET", "/v1/organisations", brain.operator, params={"kind": "provider", "limit": 3, "after": after}
        )
        seen += [item["uscc"] for item in page["items"]]
        after = page["next"]

    assert seen == sorted(set(seen))
    assert made <= set(seen)
