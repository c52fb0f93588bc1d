"""Calls answered at once: answers, refusals and counts of the long way, and never for what may have to wait."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from brain_kit.prompt import Answer

from tests.algorithm_dev import models
from tests.algorithm_dev.conftest import People
from tests.algorithm_dev.lab import NEIGHBOUR, SQL, Lab, onnx_card, place_of, sql_card


@pytest.fixture(scope="module")
def path(small: Lab) -> str:
    """The path of calls of a published ONNX component."""
    made = People(small)
    card = onnx_card("at-once")
    small.publish(card, models.linear(), made.maker, made.analyst)
    return f"{place_of(card)}/invocations"


def ask(lab: Lab, path: str, token: str, body: bytes) -> Answer | None:
    """What the service answers at once."""
    headers = [(b"authorization", b"Bearer " + token.encode()), (b"x-request-id", b"req_0123456789")]
    scope = {"type": "http", "method": "POST", "path": f"/v1{path}", "headers": headers}
    answer: Answer | None = lab.runtime.asgi.at_once(scope, body)
    return answer


def ready(lab: Lab, path: str, token: str) -> None:
    """Lets the service look the version up, load the model and know the caller, as a first call does."""
    assert lab.call("POST", path, token, json={"inputs": {"x": [[1, 1, 1]]}}).status == 200


def answered(lab: Lab, path: str, token: str, body: bytes) -> tuple[Answer, int]:
    """What the service answers at once, and how many calls it took to make it ready.

    It looks versions up anew each second, which on a busy machine may be over before it is asked.
    """
    for number in range(50):
        answer = ask(lab, path, token, body)
        if answer is not None:
            return answer, number
        ready(lab, path, token)
    raise AssertionError("the service answers nothing at once")


def plain(body: bytes) -> dict[str, Any]:
    """An answer or a problem without what differs from call to call."""
    return {name: value for name, value in json.loads(body).items() if name not in ("elapsed_ms", "request_id")}


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": {"x": [[1, 2, 3]]}}',
        '{"inputs": {"x": [[1.5, -2e-3, 3], [4, 5, 6]]}, "parameters": {}}',
        '{"inputs": {"x": [[1e30, 1e30, 1e38]]}}',
        '{"inputs": {"x": [[3e38, 3e38, 3e38]]}}',
        '{"inputs": {"x": [[1, 2, NaN]]}}',
        '{"inputs": {"x": [[1, 2, 1e999]]}}',
        '{"inputs": {"x": [[1, 2]]}}',
        '{"inputs": {"x": [[1, 2, 1e300]]}}',
        '{"inputs": {"x": [["1", 2, 3]]}}',
        '{"inputs": {"x": [[true, false, true]]}}',
        '{"inputs": {"x": [[1, 2, 3]], "z": [1]}}',
        '{"inputs": {"x": []}}',
        '{"inputs": [{"x": 1}]}',
        '{"inputs": {"x": [[1, 2, 3]]}, "parameters": {"p": 1}}',
        '{"inputs": {"x": [[1, 2, 3]]}, "more": 1}',
        "[]",
        "{",
        "",
        "\xff",
    ],
)
def test_the_answer_is_that_of_the_long_way(small: Lab, few: People, path: str, body: str) -> None:
    """Status, members and error list; a result that is no finite number is null in both."""
    at_once, _ = answered(small, path, few.neighbour, body.encode("latin-1"))
    long = small.call("POST", path, few.neighbour, content=body.encode("latin-1"))

    assert (at_once.status, plain(at_once.body)) == (long.status, plain(long.content))
    headers = {name.decode().lower(): value.decode() for name, value in at_once.headers}
    assert headers["x-request-id"] == "req_0123456789"
    assert int(headers["content-length"]) == len(at_once.body)
    assert headers["content-type"] == long.headers["content-type"]


def test_what_may_have_to_wait_is_left_to_the_long_way(small: Lab, few: People, path: str, name: str) -> None:
    """A caller or version not seen lately, SQL, a draft, and more values than are quick."""
    body = b'{"inputs": {"x": [[1, 2, 3]]}}'
    ready(small, path, few.neighbour)
    assert ask(small, path, small.token(NEIGHBOUR, "manager", "usr_new"), body) is None
    assert ask(small, path.replace("1.0.0", "9.9.9"), few.neighbour, body) is None
    many = json.dumps({"inputs": {"x": [[1, 2, 3]] * 1000}}).encode()
    assert ask(small, path, few.neighbour, many) is None
    sparse = b'{"inputs": {"x": [[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}}'
    assert ask(small, path, few.neighbour, sparse) is None  # 18 values; 4 times the golden vector's 3 are quick

    card = sql_card(name)
    small.publish(card, SQL, few.maker, few.analyst)
    rows = b'{"inputs": [{"month": "2026-03-01", "kwh": 3}]}'
    assert small.call("POST", f"{place_of(card)}/invocations", few.neighbour, content=rows).status == 200
    assert ask(small, f"{place_of(card)}/invocations", few.neighbour, rows) is None


def test_a_withdrawn_version_is_refused_from_the_next_call_on(small: Lab, few: People, name: str) -> None:
    """Nothing of it is remembered."""
    card = onnx_card(name)
    small.publish(card, models.linear(), few.maker, few.analyst)
    path, body = f"{place_of(card)}/invocations", b'{"inputs": {"x": [[1, 2, 3]]}}'
    assert answered(small, path, few.neighbour, body)[0].status == 200
    small.json("POST", f"{place_of(card)}/withdraw", few.maker, json={"reason": "有误"})

    assert ask(small, path, few.neighbour, body) is None
    assert small.refusal("POST", path, few.neighbour, content=body)["code"] == "not_callable"


def test_each_call_is_counted_once_whichever_way_it_went(small: Lab, few: People, name: str) -> None:
    """Three at once, one of them refused; one by the long way; one that was left to it."""
    card = onnx_card(name)
    small.publish(card, models.linear(), few.maker, few.analyst)
    path = f"{place_of(card)}/invocations"
    good, bad = b'{"inputs": {"x": [[1, 2, 3], [1, 2, 3]]}}', b'{"inputs": {"x": [[1]]}}'
    answers = [answered(small, path, few.neighbour, body) for body in (good, bad, good)]
    assert [answer.status for answer, _ in answers] == [200, 422, 200]
    first = sum(number for _, number in answers)
    many = json.dumps({"inputs": {"x": [[1, 2, 3]] * 10}}).encode()
    assert ask(small, path, few.neighbour, many) is None
    assert small.call("POST", path, few.neighbour, content=many).status == 200

    deadline = time.monotonic() + 10
    while True:
        items = small.json("GET", "/usage", few.neighbour, params={"component": name})["items"]
        if sum(item["calls"] for item in items) >= 4 + first:
            break
        assert time.monotonic() < deadline, items
        time.sleep(0.1)
    assert [(item["calls"], item["failures"], item["rows"]) for item in items] == [(4 + first, 1, first + 2 + 2 + 10)]
