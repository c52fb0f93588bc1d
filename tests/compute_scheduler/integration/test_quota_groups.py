"""Tenants of one group lend each other what lies idle; operators change quotas, groups and priorities."""

from __future__ import annotations

from typing import Any

import pytest
from brain_kit.database import Database
from compute_scheduler.service import control, quota_groups, tenants
from compute_scheduler.service.errors import JobRefused, JobUnknown, QuotaGroupInUse, QuotaInvalid, StateConflict

from tests.compute_scheduler.books import NEIGHBOUR, TENANT, actor
from tests.compute_scheduler.network import OPERATOR, ORG, Network

GROUP: dict[str, Any] = {"title": "组", "parent": None, "quota": {}, "lending_limit": {}, "borrowing_limit": {}}


def quota(network: Network, org: str, cores: float, **given: Any) -> dict[str, Any]:
    """Sets a quota of so many cores and 4,000 MB, in the group `g` unless told otherwise."""
    body = {"quota": {"cores": cores, "memory_mb": 4000}, "weight": 1.0, "group": "g", "lending_limit": {}}
    body |= {"borrowing_limit": {}} | given
    return tenants.set_quota(network.database, network.settings, OPERATOR, org, body)


def lending(database: Database) -> Network:
    """The operator's organisation has one core, the tenant three, in one group; the node has four."""
    network = Network(database)
    network.open()
    quota_groups.put_group(database, OPERATOR, "g", GROUP)
    quota(network, ORG, 1)
    quota(network, TENANT, 3)
    return network


def ask(network: Network, cores: float) -> str:
    """The id of a new job of the operator's organisation."""
    return network.submit(resources={"cores": cores, "memory_mb": 100})


def test_idle_quota_of_the_group_is_borrowed_and_without_the_group_it_is_not(database: Database) -> None:
    """Three cores are one of its own and two of the tenant's; alone the same job could never run."""
    network = lending(database)
    job_id = ask(network, 3)
    assert network.schedule() == 1
    assert network.job(job_id)["state"] == "starting"

    quota(network, ORG, 1, group=None)
    with pytest.raises(JobRefused) as caught:
        ask(network, 3)
    assert [item["code"] for item in caught.value.members["errors"]] == ["quota_never"]


def test_limits_of_lender_and_borrower_bind_and_a_job_waits_while_another_holds_what_was_lent(
    database: Database,
) -> None:
    """The tenant lends one core of three: two are within reach; borrowing half a core leaves one and a half."""
    network = lending(database)
    quota(network, TENANT, 3, lending_limit={"cores": 1})
    first = ask(network, 2)
    network.schedule()
    second = ask(network, 1)
    network.schedule()
    assert [network.job(job_id)["state"] for job_id in (first, second)] == ["starting", "queued"]
    assert network.job(second)["reason_code"] == "quota"

    quota(network, ORG, 1, borrowing_limit={"cores": 0.5})
    with pytest.raises(JobRefused):
        ask(network, 2)


def test_what_a_group_has_of_its_own_serves_its_members(database: Database) -> None:
    """Four cores that belong to nobody but the group above."""
    network = lending(database)
    quota_groups.put_group(database, OPERATOR, "province", GROUP | {"quota": {"cores": 4}})
    quota_groups.put_group(database, OPERATOR, "g", GROUP | {"parent": "province"})
    quota(network, TENANT, 0)
    ask(network, 4)
    assert network.schedule() == 1


def test_circles_unknown_groups_negative_amounts_and_groups_in_use_are_refused(database: Database) -> None:
    """Each names its field; what was there stays."""
    network = lending(database)
    quota_groups.put_group(database, OPERATOR, "h", GROUP | {"parent": "g"})
    for body, words in (({"parent": "h"}, "g → h → g"), ({"parent": "nowhere"}, "先建立")):
        with pytest.raises(QuotaInvalid) as caught:
            quota_groups.put_group(database, OPERATOR, "g", GROUP | body)
        assert words in caught.value.members["errors"][0]["reason"]
    for given, field in (({"group": "nowhere"}, "group"), ({"lending_limit": {"cores": -1}}, "lending_limit.cores")):
        with pytest.raises(QuotaInvalid) as caught:
            quota(network, ORG, 1, **given)
        assert caught.value.members["errors"][0]["field"] == field
    with pytest.raises(QuotaGroupInUse):
        quota_groups.delete_group(database, OPERATOR, "g")
    quota_groups.delete_group(database, OPERATOR, "h")
    assert [(group["id"], group["parent"]) for group in quota_groups.list_groups(database)] == [("g", None)]


def test_a_waiting_job_that_becomes_urgent_goes_first(database: Database) -> None:
    """Both were known to the plan before; a job that runs or is another's cannot be changed."""
    network = Network(database)
    network.open()
    running, attempt = network.started(resources={"cores": 4, "memory_mb": 100})
    first, second = ask(network, 4), ask(network, 4)
    network.schedule()
    assert control.set_priority(database, network.actor, second, "high")["priority"] == "high"
    network.claim(attempt, "n")
    network.end(attempt, "n")
    network.schedule()

    assert [network.job(job_id)["state"] for job_id in (first, second)] == ["queued", "starting"]
    with pytest.raises(StateConflict):
        control.set_priority(database, network.actor, running, "low")
    with pytest.raises(JobUnknown):
        control.set_priority(database, actor(NEIGHBOUR), first, "low")
