"""Requests that a service answers at once: authenticated, limited, metered and framed exactly like all others."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from brain_kit.prompt import Answer
from brain_kit.service import ServiceRuntime
from service_portal.consumers import handlers
from starlette.types import Receive, Scope, Send

from tests.identity.brain import Holder
from tests.service_portal.front import Front

PATH = "/api/data-hub/v1/echo/x/invocations"
LARGE = b"z" * (8 << 20)


class Door:
    """In front of the toy: answers at once what does not say `slow`, and remembers what it was given."""

    at_once_paths = re.compile(rb"/v1/echo/[a-z/]+/invocations")

    def __init__(self, front: Front) -> None:
        self.seen: list[Scope] = []
        self.declined = 0
        self._app = front.toy.app
        self._tokens = front.platform.tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The long way."""
        await self._app(scope, receive, send)

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """What came, as JSON."""
        if b"slow" in body:
            self.declined += 1
            return None
        self.seen.append(scope)
        headers = dict(scope["headers"])
        token = headers[b"authorization"].decode().removeprefix("Bearer ")
        caller = self._tokens.verify(token)
        told = json.dumps({"org": caller.org, "path": scope["path"], "body": body.decode()}).encode()
        content = LARGE if body == b"large" else told
        head = [(b"content-length", str(len(content)).encode()), (b"x-request-id", headers[b"x-request-id"])]
        return Answer(200, head, content)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, limits: None) -> Iterator[tuple[Front, Door]]:
    """A gateway whose service has such a door."""
    front = Front(tmp_path_factory.mktemp("at-once"))
    door = Door(front)
    front.platform.register(ServiceRuntime("data-hub", front.toy.app, door=door))
    yield front, door
    front.close()


@pytest.fixture
def front(both: tuple[Front, Door]) -> Front:
    """The gateway."""
    return both[0]


@pytest.fixture
def door(both: tuple[Front, Door]) -> Door:
    """What stands in front of the service, with nothing seen."""
    both[1].seen.clear()
    both[1].declined = 0
    return both[1]


def give_plan(front: Front, org: str, name: str, **limits: Any) -> None:
    """A plan of this name for the organisation."""
    body = {"rate_per_s": None, "burst": 1, "monthly_requests": None, "monthly_bytes": None} | limits
    operator = front.brain.first.api_key
    front.call("PUT", f"/api/service-portal/v1/plans/{name}", operator, json=body)
    front.call("PUT", f"/api/service-portal/v1/plan-assignments/{org}", operator, json={"plan": name})
    front.settle()


def known(front: Front, holder: Holder) -> None:
    """Lets the gateway look the key up, by another address, once it has forgotten all others for the new ones."""
    topics = sorted(handlers(lambda: None))
    deadline = time.monotonic() + 30
    while sum(front.platform.bus.lag("service-portal", front.portal.database, topics).values()):
        assert time.monotonic() < deadline, "the gateway does not follow identity's events"
        time.sleep(0.01)
    assert front.call("GET", "/api/data-hub/v1/echo/x", holder.key).status == 200


def raw_request(key: str, body: bytes, *more: str, version: str = "1.1", length: bool = True) -> bytes:
    """The bytes of a call."""
    lines = [f"POST {PATH} HTTP/{version}", "Host: x", f"Authorization: Bearer {key}", *more]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(key: str, body: bytes) -> bytes:
    """The bytes of a call whose body comes in one chunk."""
    head = raw_request(key, b"", "Transfer-Encoding: chunked", length=False)
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def test_a_service_gets_the_callers_token_and_no_header_that_is_not_vouched_for(
    front: Front, door: Door, holder: Holder
) -> None:
    """Neither the key nor a header that only services of the platform may send; its answer comes back as it is."""
    known(front, holder)
    sent = {"X-Request-Id": "req_of_the_caller", "X-Acting-Org": "91370300MA3C00001U"}
    reply = front.call("POST", PATH, holder.key, headers=sent, body=b"hello")

    assert reply.json() == {"org": holder.uscc, "path": "/v1/echo/x/invocations", "body": "hello"}
    assert reply.headers["x-request-id"] == "req_of_the_caller"
    assert "ratelimit-remaining" in reply.headers
    names = [name for name, _ in door.seen[0]["headers"]]
    assert sorted(names) == [b"authorization", b"x-request-id"]
    assert holder.key.encode() not in dict(door.seen[0]["headers"])[b"authorization"]


def test_nobody_without_valid_credentials_is_answered(front: Front, door: Door, holder: Holder) -> None:
    """No key, a wrong one, and one that was revoked a moment ago."""
    known(front, holder)
    assert front.code("POST", PATH, body=b"x") == (401, "credentials_missing")
    assert front.code("POST", PATH, holder.key[:-1] + "~", body=b"x")[0] == 401
    assert front.call("POST", PATH, holder.key, body=b"x").status == 200
    operator = front.brain.first.api_key
    assert front.call("DELETE", f"/api/identity/v1/keys/{holder.key_id}", operator).status < 300

    assert front.code("POST", PATH, holder.key, body=b"x") == (401, "key_revoked")
    assert len(door.seen) == 1


def test_a_rate_is_kept_also_by_requests_that_go_the_long_way(front: Front, door: Door, holder: Holder) -> None:
    """Each takes one token, whether the service answers at once or not."""
    known(front, holder)
    give_plan(front, holder.uscc, "brisk", rate_per_s=0.01, burst=5)
    replies = [front.call("POST", PATH, holder.key, body=body) for body in (b"a", b"slow", b"b", b"slow", b"c")]

    assert [reply.status for reply in replies] == [200] * 5
    assert [reply.headers["ratelimit-remaining"] for reply in replies] == ["4", "3", "2", "1", "0"]
    refused = front.call("POST", PATH, holder.key, body=b"d")
    assert (refused.status, refused.json()["code"], refused.json()["plan"]) == (429, "rate_limited", "brisk")
    assert int(refused.headers["retry-after"]) > 0
    assert (len(door.seen), door.declined) == (3, 2)


def test_a_quota_ends_at_its_number_at_the_same_moment(front: Front, holder: Holder) -> None:
    """Of thirty at once, and a settlement between them, exactly seven pass."""
    known(front, holder)
    give_plan(front, holder.uscc, "seven", monthly_requests=8)

    def call(number: int) -> int:
        if number % 10 == 5:
            front.settle()
        return front.call("POST", PATH, holder.key, body=b"slow" if number % 3 == 0 else b"x").status

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(call, range(30)))
    assert sorted(statuses) == [200] * 7 + [429] * 23


def test_metering_is_exact_to_the_byte_and_calls_leave_the_same_audit(front: Front, door: Door, holder: Holder) -> None:
    """Requests of many callers answered both ways, settled while they call; a write leaves its record."""
    known(front, holder)
    body = b"x" * 1000
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: front.call("POST", PATH, holder.key, body=body), range(60)))
    slow = front.call("POST", PATH, holder.key, body=b"slow")
    counted = front.usage(holder.uscc, at_least=62)

    assert len(door.seen) == 60
    assert [(row["requests"], row["bytes_in"]) for row in counted] == [
        (62, 60_000)
    ]  # the long way's route reads no body
    looked_up = counted[0]["bytes_out"] - sum(len(reply.data) for reply in replies) - len(slow.data)
    assert 0 < looked_up < 2000  # the answer to `known`
    assert {(row["consumer"], row["service"]) for row in counted} == {(holder.key_id, "data-hub")}
    front.brain.audit_of(holder.key_id, at_least=61)
    records = [item for item in front.brain.audit_of(holder.key_id) if item["action"] == "gateway.request"]
    assert len(records) == 61


@pytest.mark.parametrize(
    ("request_of", "at_once"),
    [
        (lambda key: [raw_request(key, b"one")], True),
        (lambda key: [raw_request(key, b"one")[:-3], b"on", b"e"], True),
        (lambda key: [raw_request(key, b"x" * 200_000)], False),
        (lambda key: [chunked(key, b"one")], True),
        (lambda key: [raw_request(key, b"one", "Connection: close")], False),
        (lambda key: [raw_request(key, b"one", version="1.0")], False),
        (lambda key: [raw_request(key, b"one", "Expect: 100-continue")], False),
        (lambda key: [raw_request(key, b"one", "Upgrade: h2c", "Connection: Upgrade")], False),
        (lambda key: [raw_request(key, b"one").replace(b"/x/inv", b"/x%79/inv")], False),
    ],
)  # fmt: skip
def test_however_a_request_is_framed_its_body_arrives_whole(
    front: Front, door: Door, holder: Holder, request_of: Any, at_once: bool
) -> None:
    """In one piece and in several, in chunks, by HTTP/1.0; what is not plain goes the long way."""
    known(front, holder)
    with front.socket() as connection:
        for piece in request_of(holder.key):
            connection.sendall(piece)
            time.sleep(0.05)
        received = _until(connection, b"}")
    assert received.count(b" 200 OK\r\n") == 1, received
    assert len(door.seen) == at_once


def test_requests_in_a_row_are_answered_in_a_row(front: Front, door: Door, holder: Holder) -> None:
    """Five in one piece, some of which are answered at once and some not: in their order, none lost."""
    known(front, holder)
    bodies = [b"a", b"slow b", b"c", b"slow d", b"e"]
    names = [f"X-Request-Id: request_{number}" for number in range(5)]
    with front.socket() as connection:
        requests = [raw_request(holder.key, body, name) for body, name in zip(bodies, names, strict=True)]
        connection.sendall(b"".join(requests))
        received = _until(connection, b"request_4")
    told = re.findall(rb"x-request-id: (request_\d)", received)
    assert told == [b"request_0", b"request_1", b"request_2", b"request_3", b"request_4"]


def test_an_answer_larger_than_the_connection_takes_at_once_arrives_whole(
    front: Front, door: Door, holder: Holder
) -> None:
    """The caller reads late; a second request waits behind the first answer."""
    known(front, holder)
    with front.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.sendall(raw_request(holder.key, b"large") + raw_request(holder.key, b"after"))
        time.sleep(0.2)
        received = _until(connection, b'"caller"')
    assert LARGE in received


def test_a_caller_that_leaves_does_not_take_the_gateway_with_it(front: Front, door: Door, holder: Holder) -> None:
    """It closes with a large answer under way; the next caller is answered."""
    known(front, holder)
    for _ in range(3):
        with front.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(raw_request(holder.key, b"large"))
            connection.recv(100)
    assert front.call("POST", PATH, holder.key, body=b"x").status == 200


def test_a_request_that_breaks_off_is_metered_all_the_same(front: Front, door: Door, holder: Holder) -> None:
    """The request goes the long way, as every one that breaks off, and is metered there."""
    known(front, holder)
    with front.socket() as connection:
        connection.sendall(raw_request(holder.key, b"half of it")[:-3])
    assert sum(row["requests"] for row in front.usage(holder.uscc, at_least=2)) == 2
    assert not door.seen


def test_a_failing_service_is_a_problem_with_the_requests_id(
    front: Front, door: Door, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the error reaches the caller; the request is counted."""
    known(front, holder)
    monkeypatch.setattr(door, "at_once", lambda scope, body: 1 / 0)
    refused = front.call("POST", PATH, holder.key, body=b"x")
    assert (refused.status, refused.headers["content-type"]) == (500, "application/problem+json")
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert "division" not in refused.data.decode()
    assert "5xx" in {row["status_class"] for row in front.usage(holder.uscc, at_least=2)}


def test_a_body_over_the_limit_is_refused(front: Front, door: Door, holder: Holder) -> None:
    """Of one byte more than the limit of 1 MiB."""
    known(front, holder)
    assert front.code("POST", PATH, holder.key, body=b"x" * ((1 << 20) + 1)) == (413, "body_too_large")
    assert not door.seen


def _until(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to something that must come."""
    received = bytearray()
    while end not in received[-65536 - len(end) :]:
        chunk = connection.recv(65536)
        assert chunk, bytes(received[-300:])
        received += chunk
    return bytes(received)
