"""Who may pass: keys and tokens in either header, and what ends them."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from brain_contracts.events import KeyChanged, OrganisationChanged, UserChanged
from brain_kit.clock import utc_now
from identity.store.tables import keys

from tests.identity.brain import PASSWORD, Holder
from tests.service_portal.front import Front

ECHO = "/api/data-hub/v1/echo/x"


def test_a_key_passes_in_either_header(front: Front, holder: Holder) -> None:
    """The service sees the same principal; the key itself never reaches it."""
    replies = [
        front.call("GET", ECHO, holder.key),
        front.call("GET", ECHO, headers={"authorization": f"bearer   {holder.key}"}),
        front.call("GET", ECHO, headers={"X-API-Key": holder.key}),
    ]
    for reply in replies:
        assert reply.status == 200, reply.data
        assert reply.json()["caller"]["org"] == holder.uscc
        assert reply.json()["caller"]["sub"] == holder.key_id
        assert holder.key.split("_", 2)[2] not in reply.data.decode()


def test_a_users_token_passes(front: Front, holder: Holder) -> None:
    """Signing in through the gateway gives a token that the gateway takes."""
    user = front.brain.user(holder.uscc)
    body = {"user": user["login"], "password": PASSWORD}
    tokens = front.call("POST", "/api/identity/v1/sessions", json=body).json()
    reply = front.call("GET", ECHO, tokens["access_token"])

    assert (reply.status, reply.json()["caller"]["sub"]) == (200, user["id"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "credentials_missing"),
        ("bk_000000000000_" + "A" * 43, "key_unknown"),
        ("bk_" + "A" * 5000, "key_unknown"),
        ("bk_", "key_unknown"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "token_invalid"),
        ("nonsense", "token_invalid"),
        ("\u00e9\u00e9", "token_invalid"),
    ],
)
def test_bad_credentials_are_named_exactly(front: Front, text: str, code: str) -> None:
    """401 with the code and the way to authenticate, in both headers."""
    for headers in ({"Authorization": f"Bearer {text}"}, {"X-API-Key": text}):
        sent = {name: value.encode("latin-1") for name, value in headers.items()}
        reply = front.call("GET", ECHO, headers=sent)  # type: ignore[arg-type]
        assert (reply.status, reply.json()["code"]) == (401, code)
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


def test_other_schemes_are_no_credentials(front: Front) -> None:
    """Basic is not taken for a key."""
    assert front.code("GET", ECHO, headers={"Authorization": "Basic YTpi"}) == (401, "credentials_missing")


def test_a_revoked_key_is_refused_by_the_next_request(front: Front) -> None:
    """Not seconds later: revoking through the gateway and using the key right after it fails."""
    for _ in range(5):
        holder = front.brain.holder()
        assert front.call("GET", ECHO, holder.key).status == 200
        gone = front.call("DELETE", f"/api/identity/v1/keys/{holder.key_id}", front.brain.first.api_key)
        assert gone.status == 204
        assert front.code("GET", ECHO, holder.key) == (401, "key_revoked")


def test_a_key_in_busy_use_is_refused_right_after_its_revocation(front: Front, holder: Holder) -> None:
    """Look-ups under way at the moment of the change do not keep the key alive."""
    stop = threading.Event()
    late: list[float] = []
    revoked_at = [float("inf")]

    def use() -> None:
        while not stop.is_set():
            began = time.monotonic()
            if front.call("GET", ECHO, holder.key).status == 200 and began > revoked_at[0]:
                late.append(began - revoked_at[0])

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    front.parts.credentials.forget()
    front.call("DELETE", f"/api/identity/v1/keys/{holder.key_id}", front.brain.first.api_key)
    revoked_at[0] = time.monotonic()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()

    assert late == []


def test_a_key_revoked_elsewhere_ends_by_its_event(front: Front, holder: Holder) -> None:
    """Another gateway's or the command line's change arrives as an event within seconds."""
    assert front.call("GET", ECHO, holder.key).status == 200
    front.brain.call("DELETE", f"/v1/keys/{holder.key_id}", front.brain.operator)
    deadline = time.monotonic() + 4
    while front.call("GET", ECHO, holder.key).status == 200:
        assert time.monotonic() < deadline, "the key still works"
        time.sleep(0.05)

    assert front.code("GET", ECHO, holder.key) == (401, "key_revoked")


def test_an_expired_key_says_so(front: Front, holder: Holder) -> None:
    """The code tells the holder to make a new one."""
    with front.brain.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(sa.update(keys).where(keys.c.id == holder.key_id).values(expires_at=past))

    assert front.code("GET", ECHO, holder.key) == (401, "key_expired")


def test_a_suspended_organisation_is_refused_at_once(front: Front, holder: Holder) -> None:
    """All its keys, by the next request."""
    assert front.call("GET", ECHO, holder.key).status == 200
    path = f"/api/identity/v1/organisations/{holder.uscc}"
    assert front.call("PATCH", path, front.brain.first.api_key, json={"state": "suspended"}).status == 200

    assert front.code("GET", ECHO, holder.key) == (401, "organisation_suspended")


def test_a_service_token_does_not_pass(front: Front) -> None:
    """What services use among themselves opens nothing from outside."""
    assert front.code("GET", ECHO, front.platform.service_token()) == (401, "token_invalid")


@pytest.mark.parametrize(
    "path",
    [
        "/api/data-hub/internal/secret",
        "/api/identity/internal/service-tokens",
        "/api/identity/internal/credentials/verify",
        "/api/service-portal/internal/events",
        "/api/data-hub/metrics",
        "/api/data-hub/openapi.json",
        "/api/data-hub/healthz",
        "/api/data-hub/v1",
        "/api/data-hub",
        "/api/",
        "/api/nobody/v1/x",
        "/api/data-hub/V1/echo/x",
        "/%61pi/data-hub/v1/echo/x",
    ],
)
def test_what_is_not_offered_is_not_found(front: Front, path: str) -> None:
    """Internal and operational routes of services do not exist outside, even for operators."""
    before = len(front.toy.seen)
    status, _ = front.code("GET", path, front.brain.first.api_key)

    assert status == 404
    assert front.toy.seen[before:] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/data-hub/v1/../internal/secret",
        "/api/data-hub/v1/%2e%2e/internal/secret",
        "/api/data-hub/v1/%2E./internal/secret",
        "/api/data-hub/v1/./echo/x",
        "/api/data-hub//v1/echo/x",
        "/api/data-hub/v1//echo/x",
        "/api//data-hub/v1/echo/x",
        "/api/data-hub/v1/echo%2f..%2finternal",
        "/api/data-hub%2Fv1/echo/x",
        "/api/data-hub/v1/echo/%5c..%5cinternal",
        "/api/data-hub/v1/echo/a\\..\\b",
        "/api/data-hub/v1/echo/x%00",
        "/api/data-hub/v1/echo/%ff",
        "/api/data-hub/v1/echo/..",
        "/api/data-hub/v1/echo/.",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(front: Front, path: str) -> None:
    """400 before anybody is asked, whoever calls; sent byte for byte, as no client library would."""
    before = len(front.toy.seen)
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {front.brain.first.api_key}\r\n\r\n"
    answer = front.raw(request.encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"path_ambiguous" in answer
    assert front.toy.seen[before:] == []


def test_encoded_names_arrive_as_they_were_meant(front: Front, holder: Holder) -> None:
    """Chinese, spaces and percent signs in a path, and the query as it is."""
    reply = front.call("GET", "/api/data-hub/v1/echo/%E6%9C%BA%E5%BA%8A%20a%25b?q=%E6%9C%BA&q=2", holder.key)

    assert reply.json()["path"] == "机床 a%b"
    assert reply.json()["query"] == "q=%E6%9C%BA&q=2"


def test_headers_that_services_trust_cannot_be_forged(front: Front, holder: Holder) -> None:
    """Forwarding headers and request ids are the gateway's; a good request id is kept, a bad one replaced."""
    forged = {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https", "X-Request-Id": "bad id\t<script>"}
    reply = front.call("GET", ECHO, holder.key, headers=forged)
    seen = dict(reply.json()["headers"])

    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-request-id"] == reply.headers["x-request-id"]
    assert seen["x-request-id"].startswith("req_")
    kept = front.call("GET", ECHO, holder.key, headers={"X-Request-Id": "caller-0001"})
    assert kept.headers["x-request-id"] == "caller-0001"
    assert dict(kept.json()["headers"])["x-request-id"] == "caller-0001"


def test_signing_in_is_slowed_down_by_address(embedded: Front) -> None:
    """Guessing over many accounts meets 429 with Retry-After after ten attempts."""
    replies = [
        embedded.call("POST", "/api/identity/v1/sessions", json={"user": f"nobody{n}", "password": "x"})
        for n in range(12)
    ]

    assert [reply.status for reply in replies] == [401] * 10 + [429] * 2
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 10


def until_events_are_handled(front: Front, limit_s: float = 30) -> None:
    """Waits until the gateway has heard of every change at identity."""
    database = front.portal.database
    assert database is not None
    topics = [OrganisationChanged.topic, KeyChanged.topic, UserChanged.topic]
    deadline = time.monotonic() + limit_s
    while any(front.platform.bus.lag("service-portal", database, topics).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_while_identity_is_away_known_keys_go_on_and_unknown_ones_wait(embedded: Front) -> None:
    """503 for a key that nobody can check, never 401; a token that is verified offline is enough."""
    holder = embedded.brain.holder()
    other = embedded.brain.holder()
    until_events_are_handled(embedded)  # news of the new keys would make the gateway forget what it knows
    assert embedded.call("GET", ECHO, holder.key).status == 200
    runtime = embedded.platform.runtime("identity")
    assert runtime is not None
    working = runtime.app.router

    async def away(scope: object, receive: object, send: object) -> None:
        raise ConnectionError("identity is away")

    runtime.app.router = away  # type: ignore[assignment]
    runtime.app.middleware_stack = None
    embedded.parts.credentials._age_s = 0.0
    try:
        assert embedded.call("GET", ECHO, holder.key).status == 200
        assert embedded.code("GET", ECHO, other.key)[0] == 503
        assert embedded.call("GET", ECHO, holder.token).status == 200
    finally:
        runtime.app.router = working
        runtime.app.middleware_stack = None
    assert embedded.call("GET", ECHO, other.key).status == 200


@pytest.mark.parametrize("name", ["X-Acting-Org", "x-acting-org", "X-ACTING-ORG"])
def test_nobody_outside_says_for_whom_a_service_acts(front: Front, holder: Holder, name: str) -> None:
    """The header is the platform's own: it never goes upstream, and the caller stays who it is."""
    other = front.brain.organisation()
    seen = front.call("GET", ECHO, holder.key, headers={name: other}).json()

    assert "x-acting-org" not in dict(seen["headers"])
    assert other not in str(seen)
    assert seen["caller"]["org"] == holder.uscc
