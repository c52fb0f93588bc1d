"""Quotas, lending, priorities and the policy on pages: operators only, each form calls the public API."""

from __future__ import annotations

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, FakeBrain
from tests.service_portal.portal.fake.network import RUNNING, VALUES


def test_the_operator_sets_quota_group_and_limits(operator: Browserless, brain: FakeBrain) -> None:
    """The form is filled in with what the tenant has; amounts are sent as numbers."""
    text = operator.text(f"/quotas?org={ENTERPRISE_ORG}")
    for part in ("cores=16", "淄博市", "核 4", "不限"):
        assert part in text
    fields = {"org": ENTERPRISE_ORG, "quota": "cores=8\nmemory_mb=4096", "weight": "2", "group": "zibo"}
    sent = operator.post("/quotas/tenants", fields | {"lending_limit": "cores=0.5", "action": "set"})
    assert sent.headers["location"] == "/quotas"
    body = {"quota": {"cores": 8.0, "memory_mb": 4096.0}, "weight": "2", "group": "zibo", "borrowing_limit": {}}
    assert brain.calls[-1] == ("quota", (ENTERPRISE_ORG, body | {"lending_limit": {"cores": 0.5}}))
    assert "不是数值" in operator.post("/quotas/tenants", fields | {"quota": "cores=many"}).data.decode()
    operator.post("/quotas/tenants", {"org": ENTERPRISE_ORG, "action": "remove"})
    assert brain.calls[-1] == ("quota", (ENTERPRISE_ORG, None))


def test_groups_are_made_and_what_is_refused_is_said(operator: Browserless, brain: FakeBrain) -> None:
    """A group with members is not removed: the reason stands above the forms."""
    operator.post("/quotas/groups", {"id": "zibo", "title": "淄博市", "quota": "cores=8", "action": "set"})
    body = {"quota": {"cores": 8.0}, "lending_limit": {}, "borrowing_limit": {}, "title": "淄博市", "parent": None}
    assert brain.calls[-1] == ("group", ("zibo", body))
    reply = operator.post("/quotas/groups", {"id": "zibo", "action": "remove"})
    assert (reply.status, "还有成员" in reply.data.decode()) == (409, True)


def test_the_priority_of_a_waiting_job_is_changed_by_the_operator_only(
    operator: Browserless, owner: Browserless, brain: FakeBrain
) -> None:
    """Others see it."""
    assert "改优先级" in operator.text("/jobs/job_queued")
    assert "改优先级" not in owner.text("/jobs/job_queued")
    operator.post("/jobs/job_queued/priority", {"priority": "high"})
    assert brain.calls[-1] == ("priority", ("job_queued", "high"))


def test_a_policy_is_tried_on_last_months_jobs_before_it_is_switched_on(
    operator: Browserless, brain: FakeBrain
) -> None:
    """The same form does both; the version that was looked at goes along, and a changed one is told."""
    assert "按会议纪要" in operator.text("/policy")
    fields = {name: str(value) for name, value in VALUES.items()} | {"base": "short-first", "replaces": "pol_1"}
    fields |= {"preemption": "true", "carbon_s": "2.5", "note": "试"}
    tried = operator.post("/policy", fields | {"action": "simulate"})
    assert tried.headers["location"] == f"/simulations/{RUNNING}"
    name, body = brain.calls[-1]
    assert (name, body["policy"], body["format"], body["values"]["carbon_s"]) == (
        "simulate",
        "short-first",
        "platform",
        2.5,
    )
    assert operator.post("/policy", fields | {"action": "set"}).headers["location"] == "/policy"
    name, body = brain.calls[-1]
    assert (name, body["replaces"], body["values"]["preemption"], body["note"]) == ("policy", "pol_1", True, "试")
    stale = operator.post("/policy", fields | {"replaces": "pol_0", "action": "set"})
    assert (stale.status, "已被别人修改" in stale.data.decode()) == (409, True)
    assert "不是数值" in operator.post("/policy", fields | {"price_s": "cheap"}).data.decode()


def test_policy_and_quotas_are_for_operators(owner: Browserless) -> None:
    """Neither in the rail nor by address."""
    assert "/policy" not in owner.text("/jobs")
    assert (owner.get("/policy").status, owner.get("/quotas").status) == (404, 404)
