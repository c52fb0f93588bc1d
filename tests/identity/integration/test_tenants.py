"""The organisation next door: nothing of it can be seen, changed or guessed, by any route."""

from __future__ import annotations

from typing import Any

import pytest
from brain_kit.openapi import routes_of

from tests.identity.brain import PASSWORD, SERIALS, Brain, Holder

# A valid body for each route that takes one, so that refusals come from the rules of access and not from the form.
BODIES: dict[str, Any] = {
    "POST /v1/organisations": {"uscc": "91370300MA3C00001U", "name": "x", "kind": "enterprise", "region": "370303"},
    "PATCH /v1/organisations/{uscc}": {"name": "taken over"},
    "POST /v1/keys": {"org": "{uscc}", "name": "ERP"},
    "POST /v1/users": {"org": "{uscc}", "login": "{login}", "name": "x", "password": PASSWORD},
    "PATCH /v1/users/{user_id}": {"state": "disabled"},
    "POST /v1/me/password": {"old_password": "x", "new_password": PASSWORD},
}
OPERATORS_ONLY = {"POST /v1/organisations", "PATCH /v1/organisations/{uscc}"}


def routes(brain: Brain) -> list[str]:
    """`METHOD path` of every public route of identity."""
    return sorted(
        f"{method} {route.path}"
        for route in routes_of(brain.runtime.app)
        for method in route.methods or ()
        if str(route.path).startswith("/v1/")
    )


@pytest.mark.parametrize("kind", ["enterprise", "provider", "department"])
def test_no_route_with_an_id_shows_or_changes_another_tenants_object(brain: Brain, kind: str) -> None:
    """Every route with an id, found by walking the application, answers as if the object did not exist."""
    us, them = brain.holder(kind), brain.holder(kind)
    user = brain.user(them.uscc)
    ids = {"uscc": them.uscc, "key_id": them.key_id, "user_id": user["id"], "login": f"u{next(SERIALS)}"}
    unknown = {"uscc": "nobody", "key_id": "nobody", "user_id": "nobody", "login": f"u{next(SERIALS)}"}
    with_id = [route for route in routes(brain) if "{" in route]
    assert len(with_id) >= 7

    for route in with_id:
        if kind == "department" and route == "GET /v1/organisations/{uscc}":
            continue  # departments see every organisation
        theirs, nobodys = answer(brain, route, us, ids), answer(brain, route, us, unknown)
        wanted = (403, "not_permitted") if route in OPERATORS_ONLY else (404, nobodys[1])
        assert theirs == nobodys == wanted, (route, theirs, nobodys)

    assert brain.verify(them.key).status == 200
    assert brain.sign_in(user["login"], PASSWORD)["principal"]["org"] == them.uscc


def answer(brain: Brain, route: str, holder: Holder, ids: dict[str, str]) -> tuple[int, str]:
    """(status, code) of a route with ids put into path and body."""
    method, path = route.split(" ")
    body = {name: str(value).format(**ids) for name, value in BODIES[route].items()} if route in BODIES else None
    return brain.code(method, path.format(**ids), holder.token, json=body)


@pytest.mark.parametrize("route", ["POST /v1/keys", "POST /v1/users"])
def test_nothing_can_be_made_in_another_tenant(brain: Brain, route: str) -> None:
    """Another organisation and one that does not exist answer alike."""
    us, them = brain.holder(), brain.holder()
    ids = {"login": f"u{next(SERIALS)}"}

    theirs = answer(brain, route, us, ids | {"uscc": them.uscc})
    nobodys = answer(brain, route, us, ids | {"uscc": "nobody"})
    assert theirs == nobodys == (404, "organisation_unknown")


@pytest.mark.parametrize("kind", ["enterprise", "provider"])
def test_no_list_shows_another_tenants_object(brain: Brain, kind: str) -> None:
    """Every list route, found by walking the application, also when the other organisation is asked for."""
    us, them = brain.holder(kind), brain.holder(kind)
    brain.user(them.uscc)
    brain.audit_of(them.uscc)
    lists = [route for route in routes(brain) if route.startswith("GET ") and "{" not in route]
    assert {"GET /v1/organisations", "GET /v1/keys", "GET /v1/users", "GET /v1/audit"} <= set(lists)

    for route in lists:
        for params in ({}, {"org": them.uscc}, {"org": them.uscc, "limit": 1000}, {"subject": them.key_id}):
            reply = brain.call("GET", route.split(" ")[1], us.token, params=params)
            assert them.uscc not in reply.content.decode(), (route, params)
            assert them.key_id not in reply.content.decode(), (route, params)


def test_every_route_but_the_public_ones_refuses_a_caller_without_credentials(brain: Brain) -> None:
    """401 with the way to authenticate, before anything else is looked at."""
    public = {"POST /v1/sessions", "POST /v1/sessions/refresh", "POST /v1/sessions/revoke"}
    ids = {"uscc": brain.home_org, "key_id": "x", "user_id": "x"}

    for route in routes(brain):
        if route in public:
            continue
        method, path = route.split(" ")
        reply = brain.call(method, path.format(**ids), json=BODIES.get(route))
        assert (reply.status, reply.json()["code"]) == (401, "credentials_missing"), route
        assert reply.headers["www-authenticate"].startswith("Bearer"), route
