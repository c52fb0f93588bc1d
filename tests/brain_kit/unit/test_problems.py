"""Problems and their RFC 9457 form."""

from __future__ import annotations

from typing import Any

import pytest
from brain_kit import problems
from brain_kit.problems import Forbidden, NotFound, Problem, RateLimited, Unavailable, problem_body, problem_from
from hypothesis import given
from hypothesis import strategies as st

# From RFC 9110 and RFC 6585, and the statuses that architecture section 2 gives to each case.
STATUSES = {
    "BadRequest": 400,
    "Unauthenticated": 401,
    "NotPermitted": 403,
    "NotFound": 404,
    "Forbidden": 404,
    "Conflict": 409,
    "TooLarge": 413,
    "UnsupportedMedia": 415,
    "InvalidInput": 422,
    "RateLimited": 429,
    "Unavailable": 503,
    "TimedOut": 504,
}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_each_problem_has_its_status(name: str, status: int) -> None:
    """Clients act on the status."""
    assert getattr(problems, name)("x").status == status


def test_a_problem_has_the_standard_members_and_its_own() -> None:
    """The form that every client may rely on."""

    class PushUnknown(NotFound):
        code = "push_unknown"

    body = problem_body(PushUnknown("没有推送 psh_1", push="psh_1"), instance="/v1/pushes/psh_1", request_id="req_1")

    assert body == {
        "type": "urn:brain:problem:push_unknown",
        "title": "Not found",
        "status": 404,
        "detail": "没有推送 psh_1",
        "code": "push_unknown",
        "instance": "/v1/pushes/psh_1",
        "request_id": "req_1",
        "push": "psh_1",
    }


def test_a_member_never_takes_the_place_of_a_standard_one() -> None:
    """A member called `code` would make clients act on the wrong thing."""
    body = problem_body(NotFound("没有", code="other", status=200, title="fine"))

    assert (body["code"], body["status"], body["title"]) == ("not_found", 404, "Not found")


def test_what_must_not_be_known_looks_as_if_it_did_not_exist() -> None:
    """The answer to a forbidden object and to an unknown one is the same."""
    assert problem_body(Forbidden("没有数据集 x")) == problem_body(NotFound("没有数据集 x"))


@given(
    status=st.sampled_from(sorted(problems.BY_STATUS)),
    code=st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True),
    detail=st.text(min_size=1),
    members=st.dictionaries(st.sampled_from(["errors", "dataset", "row", "limit"]), JSON),
)
def test_a_problem_survives_the_way_through_another_service(
    status: int, code: str, detail: str, members: dict[str, Any]
) -> None:
    """What one service refuses, the caller of the next one learns with code, detail and data."""
    kind = type("Sent", (problems.BY_STATUS[status],), {"code": code})

    received = problem_from(status, problem_body(kind(detail, **members), instance="/v1/x", request_id="req_1"))

    assert isinstance(received, problems.BY_STATUS[status])
    assert (received.status, received.code, received.detail, received.members) == (status, code, detail, members)


@pytest.mark.parametrize("body", [None, [], "gone", {}, {"detail": ""}])
def test_an_answer_that_is_no_problem_becomes_one(body: object) -> None:
    """Proxies answer with anything."""
    problem = problem_from(502, body)

    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (502, "http_502")
    assert problem.detail


def test_waiting_times_become_a_header() -> None:
    """Retry-After is in whole seconds, at least one; a failing part is worth another try soon."""
    assert RateLimited("慢", retry_after_s=29.6).headers == {"Retry-After": "30"}
    assert RateLimited("慢", retry_after_s=0.01).headers == {"Retry-After": "1"}
    assert RateLimited("慢").headers == {}
    assert int(Unavailable("等").headers["Retry-After"]) >= 1


def test_a_refusal_says_how_to_authenticate() -> None:
    """RFC 9110 section 11.6.1 asks for WWW-Authenticate with 401."""
    assert problems.Unauthenticated("无").headers["WWW-Authenticate"].startswith("Bearer ")
