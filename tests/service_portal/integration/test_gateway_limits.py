"""Rates, quotas, exact metering, and the audit record of each write."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from brain_kit.problems import Unavailable

from tests.identity.brain import Holder
from tests.service_portal.front import Front

ECHO = "/api/data-hub/v1/echo/x"


def give_plan(front: Front, org: str, name: str, **limits: Any) -> None:
    """Sets a plan through the gateway and assigns it; waits until the gateway follows."""
    body = {"rate_per_s": None, "burst": 1, "monthly_requests": None, "monthly_bytes": None} | limits
    operator = front.brain.first.api_key
    plan = front.call("PUT", f"/api/service-portal/v1/plans/{name}", operator, json=body)
    given = front.call("PUT", f"/api/service-portal/v1/plan-assignments/{org}", operator, json={"plan": name})
    assert (plan.status, given.status) == (200, 200), (plan.data, given.data)
    front.settle()


def test_a_rate_is_told_and_kept(front: Front, holder: Holder) -> None:
    """The burst passes with what remains in the headers, then 429 says when to come again, and then it works."""
    give_plan(front, holder.uscc, "slow", rate_per_s=2, burst=5)
    replies = [front.call("GET", ECHO, holder.key) for _ in range(7)]

    assert [reply.status for reply in replies[:5]] == [200] * 5
    assert [reply.headers["ratelimit-limit"] for reply in replies[:5]] == ["5"] * 5
    assert [int(reply.headers["ratelimit-remaining"]) for reply in replies[:3]] == [4, 3, 2]
    limited = replies[-1]
    assert (limited.status, limited.json()["code"], limited.json()["plan"]) == (429, "rate_limited", "slow")
    assert limited.headers["retry-after"] == "1"
    time.sleep(int(limited.headers["retry-after"]))
    assert front.call("GET", ECHO, holder.key).status == 200


def test_each_consumer_has_its_own_bucket(front: Front, holder: Holder) -> None:
    """One key that calls too fast does not slow another down."""
    give_plan(front, holder.uscc, "narrow", rate_per_s=0.1, burst=1)
    other = front.brain.key(holder.uscc, "MES")["key"]
    statuses = [front.call("GET", ECHO, key).status for key in (holder.key, holder.key, other, other)]

    assert statuses == [200, 429, 200, 429]


def test_at_most_the_burst_passes_at_the_same_moment(front: Front, holder: Holder) -> None:
    """Concurrency finds no gap in the bucket."""
    give_plan(front, holder.uscc, "tight", rate_per_s=0.01, burst=10)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: front.call("GET", ECHO, holder.key).status, range(40)))

    assert sorted(statuses) == [200] * 10 + [429] * 30


def test_the_operator_has_no_limit(front: Front) -> None:
    """Its plan is unlimited and says so by telling no rate."""
    reply = front.call("GET", ECHO, front.brain.first.api_key)

    assert reply.status == 200
    assert "ratelimit-limit" not in reply.headers


def test_a_monthly_quota_of_requests_ends_at_its_number(front: Front, holder: Holder) -> None:
    """Exactly so many pass over all keys of the organisation, then 429 until the next month."""
    give_plan(front, holder.uscc, "month", monthly_requests=7)
    other = front.brain.key(holder.uscc, "MES")["key"]
    statuses = []
    for number in range(9):
        statuses.append(front.call("GET", ECHO, (holder.key, other)[number % 2]).status)
        if number in (3, 5):
            front.settle()  # settled and open counts add up

    assert statuses == [200] * 7 + [429] * 2
    refused = front.call("GET", ECHO, holder.key)
    assert refused.json()["code"] == "quota_used_up"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400


def test_a_quota_holds_for_requests_at_the_same_moment(front: Front, holder: Holder) -> None:
    """What is under way counts: of 30 at once exactly 7 pass."""
    give_plan(front, holder.uscc, "month", monthly_requests=7)
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: front.call("POST", "/api/data-hub/v1/sink", holder.key).status, range(30)))

    assert sorted(statuses) == [200] * 7 + [429] * 23


def test_a_monthly_quota_of_bytes_counts_both_ways(front: Front, holder: Holder) -> None:
    """What was sent and what came back."""
    give_plan(front, holder.uscc, "volume", monthly_bytes=100_000)
    assert front.call("POST", "/api/data-hub/v1/sink", holder.key, body=b"x" * 40_000).status == 200
    assert front.call("GET", "/api/data-hub/v1/source?blocks=1", holder.key).status == 200

    front.usage(holder.uscc, at_least=2)
    assert front.code("GET", ECHO, holder.key) == (429, "quota_used_up")


def test_metering_is_exact_under_concurrency(front: Front, holder: Holder) -> None:
    """Requests and bytes of many callers at once, settled while they call, add up to the last byte."""
    body = b"x" * 1000

    def call(number: int) -> int:
        if number % 25 == 0:
            front.settle()
        if number % 4 == 0:
            return front.call("GET", "/api/data-hub/v1/status/404", holder.key).status
        return front.call("POST", "/api/data-hub/v1/sink", holder.key, body=body).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(call, range(200)))
    answer = len(front.call("POST", "/api/data-hub/v1/sink", holder.key, body=body).data)
    counted = {row["status_class"]: row for row in front.usage(holder.uscc, at_least=201)}

    assert statuses.count(404) == 50
    assert (counted["2xx"]["requests"], counted["4xx"]["requests"]) == (151, 50)
    assert counted["2xx"]["bytes_in"] == 151 * 1000
    assert counted["2xx"]["bytes_out"] == 151 * answer
    assert counted["4xx"]["bytes_out"] == 50 * 10
    assert {(row["consumer"], row["service"]) for row in counted.values()} == {(holder.key_id, "data-hub")}


def test_what_cannot_be_settled_is_kept_and_counted_once(front: Front, holder: Holder) -> None:
    """A database that fails, before or after the counts were written, neither loses nor doubles them."""
    for _ in range(3):
        front.call("POST", ECHO, holder.key)
    settlement = front.parts.settlement
    plans = settlement._replace_plans
    for place in ("add_usage", "load_plans"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"service_portal.service.settle.control.{place}", _fail)
            with pytest.raises(Unavailable):
                settlement.settle()
    assert settlement._replace_plans is plans

    assert [row["requests"] for row in front.usage(holder.uscc, at_least=3)] == [3]
    front.brain.audit_of(holder.key_id, at_least=4)
    records = [item for item in front.brain.audit_of(holder.key_id) if item["action"] == "gateway.request"]
    assert len(records) == 3


def _fail(*_args: object) -> None:
    raise Unavailable("数据库暂时无法访问")


@pytest.mark.usefixtures("limits")
def test_usage_and_quota_outlive_a_restart(tmp_path: Path) -> None:
    """What was counted before counts after, up to the last request before the stop."""
    first = Front(tmp_path)
    holder = first.brain.holder()
    give_plan(first, holder.uscc, "month", monthly_requests=5)
    for _ in range(4):
        assert first.call("GET", ECHO, holder.key).status == 200
    credentials = first.brain.first
    first.close()

    second = Front(tmp_path, first=credentials)
    second.settle()
    statuses = [second.call("GET", ECHO, holder.key).status for _ in range(2)]
    counted = second.usage(holder.uscc, at_least=6)
    second.close()
    assert statuses == [200, 429]
    assert {row["status_class"]: row["requests"] for row in counted} == {"2xx": 5, "4xx": 1}


def test_an_enterprise_sees_its_own_usage_only(front: Front, holder: Holder) -> None:
    """Also when it asks for another's."""
    other = front.brain.holder()
    for key in (holder.key, other.key):
        front.call("GET", ECHO, key)
    deadline = time.monotonic() + 20
    while True:  # a call is counted when its answer is through, a moment after its caller has it
        front.settle()
        reply = front.call("GET", f"/api/service-portal/v1/usage?org={other.uscc}", holder.key)
        if reply.json()["items"] or time.monotonic() > deadline:
            break

    assert {row["org"] for row in reply.json()["items"]} == {holder.uscc}
    table = front.call("GET", "/api/service-portal/v1/usage", holder.key, headers={"Accept": "text/csv"})
    assert table.data.decode().splitlines()[0].startswith("day,org,consumer,service")
    assert other.uscc not in table.data.decode()


def test_each_write_is_recorded_in_the_audit_chain(front: Front, holder: Holder) -> None:
    """Who, which address, how it ended; reads are not recorded, bodies never."""
    front.call("GET", ECHO, holder.key)
    done = front.call("POST", ECHO, holder.key, body=b"password=hunter2")
    front.call("POST", "/api/data-hub/v1/status/409?token=hunter2", holder.key)
    front.call("POST", "/api/data-hub/v1/status/503", holder.key)
    front.settle()

    front.brain.audit_of(holder.key_id, at_least=4)
    found = [item for item in front.brain.audit_of(holder.key_id) if item["action"] == "gateway.request"]
    assert [(item["object"], item["outcome"]) for item in reversed(found)] == [
        (f"POST {ECHO}", "ok"),
        ("POST /api/data-hub/v1/status/409", "refused"),
        ("POST /api/data-hub/v1/status/503", "failed"),
    ]
    assert found[-1]["detail"]["request_id"] == done.headers["x-request-id"]
    assert {item["org"] for item in found} == {holder.uscc}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "body",
    [
        {"rate_per_s": 0, "burst": 1, "monthly_requests": None, "monthly_bytes": None},
        {"rate_per_s": 1, "burst": 0, "monthly_requests": None, "monthly_bytes": None},
        {"rate_per_s": 1, "burst": 1, "monthly_requests": -1, "monthly_bytes": None},
        {"rate_per_s": 1, "burst": 1},
        {"rate_per_s": "inf", "burst": 1, "monthly_requests": None, "monthly_bytes": None},
        {"rate_per_s": 1, "burst": 1, "monthly_requests": None, "monthly_bytes": 10**30},
        {"rate_per_s": "\ud800", "burst": 1, "monthly_requests": None, "monthly_bytes": None},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(front: Front, body: dict[str, Any]) -> None:
    """422 names the field; nothing is stored."""
    sent: dict[str, Any] = {"body": json.dumps(body), "headers": {"content-type": "application/json"}}
    reply = front.call("PUT", "/api/service-portal/v1/plans/odd", front.brain.first.api_key, **sent)
    plans = front.call("GET", "/api/service-portal/v1/plans", front.brain.first.api_key).json()

    assert (reply.status, reply.json()["code"]) == (422, "fields_invalid")
    assert "odd" not in {plan["name"] for plan in plans["items"]}
    good = {"rate_per_s": 1, "burst": 1, "monthly_requests": 1, "monthly_bytes": 1}
    for name in ("x" * 41, "a%20b", "%E6%96%B9%E6%A1%88"):
        path = f"/api/service-portal/v1/plans/{name}"
        assert front.call("PUT", path, front.brain.first.api_key, json=good).status == 422


def test_only_operators_set_plans(front: Front, holder: Holder) -> None:
    """Nobody raises its own limits."""
    body = {"rate_per_s": None, "burst": 1, "monthly_requests": None, "monthly_bytes": None}
    assert front.code("PUT", "/api/service-portal/v1/plans/free", holder.key, json=body) == (403, "not_permitted")
    path = f"/api/service-portal/v1/plan-assignments/{holder.uscc}"
    assert front.code("PUT", path, holder.key, json={"plan": "unlimited"}) == (403, "not_permitted")
    unknown = front.call("PUT", path, front.brain.first.api_key, json={"plan": "nothing"})
    assert unknown.status == 404
