"""Where jobs run by the data that they read: replicas, links, rules; on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.clients import DatasetFacts
from compute_scheduler.service import centres, control, inventory, links, network
from compute_scheduler.service.errors import (
    JobRefused,
    LinkUnknown,
    NetworkInvalid,
    NotYourCentre,
    ReplicaUnknown,
    RuleNotPermitted,
    RuleUnknown,
    WindowUnknown,
)
from compute_scheduler.store import centres as centre_store

from tests.compute_scheduler.books import TENANT, set_prices
from tests.compute_scheduler.network import NODE, OPERATOR, ORG, Network

X, Z = "industry.orders", "industry.secret"
GB = 10**9
LINK: dict[str, Any] = {"capacity_gbit_s": 8.0, "latency_ms": None, "note": "", "as_of": date(2026, 9, 30)}
COPY = {"bytes": GB, "sha256": "a" * 64, "state": "ready", "note": ""}
OWNER = Principal("usr_2", "user", TENANT, "enterprise", roles=frozenset({"manager"}))
STATED = {
    "longitude": None,
    "latitude": None,
    "storage_tb": None,
    "eflops": {},
    "racks_built": None,
    "racks_planned": None,
    "dedicated": False,
    "as_of": date(2026, 9, 30),
    "source": "台账",
}


@pytest.fixture
def net(database: Database) -> Network:
    """`c1` stands beside the warehouse in Zibo, `c2` is joined to it by 8 Gbit/s and lies in Jinan; four cores each."""
    made = Network(database, compute_scheduler_data_centres=["c1"], compute_scheduler_assumed_gbit_s=0.0)
    centres.make_centre(database, OPERATOR, centre="c2", title="二号", kind="edge")
    made.open()
    open_other(made)
    links.set_link(database, OPERATOR, "c1", "c2", LINK)
    for centre, region in (("c1", "370303"), ("c2", "370102")):
        inventory.set_inventory(database, OPERATOR, centre, STATED | {"region": region})
    made.datasets.known = {
        X: DatasetFacts(X, "7", 5 * GB, "一般-3", TENANT),
        Z: DatasetFacts(Z, "3", GB, "重要", TENANT),
    }
    return made


def open_other(net: Network) -> None:
    """The agent of `c2` begins."""
    body = {"instance": uuid4().hex, "nodes": [NODE], "capabilities": {}, "held": []}
    net.exchange.open_session("c2", body)


def reads(*datasets: str) -> dict[str, Any]:
    """A job that reads these."""
    return {"datasets": [{"dataset": name} for name in datasets]}


def placed(net: Network, job: str) -> tuple[str, Any]:
    """Centre and stage of a job's attempt."""
    (attempt,) = net.attempts(job)
    return attempt["centre"], attempt["stage"]


def fill(net: Network, centre: str) -> None:
    """Takes all cores of a centre."""
    net.submit(centre=centre, resources={"cores": 4, "memory_mb": 100})
    net.schedule()


def test_compute_goes_to_the_data_and_the_data_to_compute_when_that_is_sooner(net: Network) -> None:
    """5 GB over 8 Gbit/s are 5 s: at home while there is room, else there at 0.5 yuan a GB; both are told."""
    set_prices(net.database, gb_moved="0.5")
    near = net.submit(**reads(X))
    net.schedule()
    assert placed(net, near) == ("c1", {"bytes": 0, "seconds": 0.0, "yuan": 0.0})
    net.submit(centre="c1", resources={"cores": 3, "memory_mb": 100})
    net.schedule()
    far = net.submit(**reads(X))
    net.schedule()
    assert placed(net, far) == ("c2", {"bytes": 5 * GB, "seconds": 5.0, "yuan": 2.5})
    shown = control.get_job(net.database, net.actor, far)
    assert shown["data"] == [{"dataset": X, "version": "7", "bytes": 5 * GB, "class": "一般-3", "view": "whole"}]
    assert shown["attempts"][0]["stage"]["seconds"] == 5.0
    assert control.get_job(net.database, net.actor, net.submit())["data"] == []


def test_a_copy_draws_the_job_and_one_that_is_suspect_does_not(net: Network) -> None:
    """With a copy at c2 both cost nothing; c1 taken, the job starts at c2 without a move. A suspect one moves all."""
    key = {"dataset": X, "version": "7", "centre": "c2", "view": "whole"}
    network.put_replica(net.database, OPERATOR, key, COPY)
    fill(net, "c1")
    copied = net.submit(**reads(X))
    net.schedule()
    assert placed(net, copied) == ("c2", {"bytes": 0, "seconds": 0.0, "yuan": 0.0})
    network.put_replica(net.database, OPERATOR, key, COPY | {"state": "suspect"})
    moved = net.submit(**reads(X))
    net.schedule()
    assert placed(net, moved)[1]["bytes"] == 5 * GB
    other = network.put_replica(net.database, OPERATOR, key | {"version": "8"}, COPY)
    assert other["state"] == "ready"
    first = network.list_replicas(net.database, {"dataset": "", "centre": ""}, "", 1)
    second = network.list_replicas(net.database, {"dataset": X, "centre": "c2"}, first["next"], 1)
    assert [page["items"][0]["version"] for page in (first, second)] == ["7", "8"]
    assert second["next"] is None
    network.remove_replica(net.database, OPERATOR, key)
    with pytest.raises(ReplicaUnknown):
        network.remove_replica(net.database, OPERATOR, key)


def test_data_that_may_not_leave_keep_their_jobs_waiting_rather_than_moving(net: Network) -> None:
    """Important data stay at c1: full, the job waits for it; named elsewhere, it is refused with the field."""
    fill(net, "c1")
    job = net.submit(**reads(Z))
    net.schedule()
    assert net.job(job)["state"] == "queued"
    assert net.attempts(job) == []
    with pytest.raises(JobRefused) as refused:
        net.submit(centre="c2", **reads(Z))
    (error,) = refused.value.members["errors"]
    assert (error["field"], error["code"]) == ("datasets", "data_stays")
    assert Z in error["reason"]


def test_a_rule_that_comes_later_holds_for_jobs_that_wait(net: Network) -> None:
    """Full at first. Then X may be in c2 only while the job names c1: it does not start, says why, until X is free."""
    fill(net, "c1")
    job = net.submit(centre="c1", **reads(X))
    net.schedule()
    set_rule(net, X, ["370100"])
    centres_free(net)
    net.schedule()
    waiting = net.job(job)
    assert (waiting["state"], waiting["reason_code"]) == ("queued", "data_stays")
    network.remove_rule(net.database, net.datasets, OPERATOR, "", X, net.settings)
    net.schedule()
    assert placed(net, job)[0] == "c1"


def centres_free(net: Network) -> None:
    """What runs at c1 ends."""
    for order in net.pull()["orders"]:
        assert net.claim(order["attempt"], "n" * 32)
        net.end(order["attempt"], "n" * 32)


def set_rule(net: Network, dataset: str, where: list[str], who: Principal = OPERATOR) -> dict[str, Any]:
    """Sets a data set's rule."""
    body = {"stays_in": where, "reason": "协议"}
    return network.put_rule(net.database, net.datasets, who, "", dataset, body, net.settings)


def test_a_rule_by_region_moves_the_job_there(net: Network) -> None:
    """X stays in Jinan: the job runs at c2 although c1 holds the data and has room."""
    set_rule(net, X, ["370100"], OWNER)
    job = net.submit(**reads(X))
    net.schedule()
    assert placed(net, job)[0] == "c2"


def test_rules_are_set_by_operators_and_by_owners_whose_data_set_its_class_does_not_bind(net: Network) -> None:
    """Others, owners of important data, and unknown places are refused; what is not there cannot be removed."""
    stranger = Principal("usr_3", "user", ORG, "department", roles=frozenset({"analyst"}))
    with pytest.raises(RuleNotPermitted):
        set_rule(net, X, ["c1"], stranger)
    with pytest.raises(RuleNotPermitted):
        set_rule(net, Z, ["c1", "c2"], OWNER)
    with pytest.raises(NetworkInvalid) as refused:
        set_rule(net, X, ["c1", "c9", "999999"])
    assert [item["field"] for item in refused.value.members["errors"]] == ["stays_in.1", "stays_in.2"]
    with pytest.raises(RuleUnknown):
        network.remove_rule(net.database, net.datasets, OPERATOR, "", X, net.settings)
    assert set_rule(net, Z, ["c2", "c1"])["stays_in"] == ["c1", "c2"]
    assert set_rule(net, Z, ["370100"])["centres"] == ["c2"]  # c2 lies in Jinan, c1 in Zibo
    with pytest.raises(RuleNotPermitted):
        network.remove_rule(net.database, net.datasets, OWNER, "", Z, net.settings)
    assert [rule["dataset"] for rule in network.list_rules(net.database, net.actor)] == [Z]


def test_maintenance_slows_the_move_and_the_quote_says_by_how_much(net: Network) -> None:
    """A fifth of the rate for the next ten seconds: 2 GB by then, the other 3 GB in 3 s more. Cut off: never."""
    now = utc_now()
    facts = net.datasets.known[X]
    window = {"start_at": now - timedelta(hours=1), "end_at": now + timedelta(seconds=10), "gbit_s": 1.6, "note": ""}
    made = network.add_window(net.database, OPERATOR, "c2", "c1", window)
    (link,) = links.list_links(net.database, 2)
    assert (link["free_gbit_s"], [item["id"] for item in link["windows"]]) == (1.6, [made["id"]])
    assert [(item["limit_gbit_s"], item["reserved_gbit_s"]) for item in link["course"]] == [(1.6, 0.0), (8.0, 0.0)]
    assert link["course"][0]["until"] == link["course"][1]["from"] == made["end_at"]
    quote = network.quotes(net.database, net.settings, facts)
    home, away = quote["items"]
    assert (home["holds"], home["seconds"], home["bytes"], home["path"]) == (True, 0.0, 0, [])
    assert (away["allowed"], away["source"], away["path"], away["yuan"]) == (True, "c1", [["c1", "c2"]], None)
    assert 12.5 < away["seconds"] <= 13.0
    network.remove_window(net.database, OPERATOR, "c1", "c2", made["id"])
    assert network.quotes(net.database, net.settings, facts)["items"][1]["seconds"] == 5.0
    with pytest.raises(WindowUnknown):
        network.remove_window(net.database, OPERATOR, "c1", "c2", made["id"])
    links.remove_link(net.database, OPERATOR, "c1", "c2")
    unjoined = network.quotes(net.database, net.settings, facts)["items"][1]
    assert (unjoined["seconds"], unjoined["source"]) == (None, None)
    assert network.quotes(net.database, net.settings, net.datasets.known[Z])["rule"] == "class"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"gbit_s": 8.0}, "gbit_s"), ({"end_at": timedelta(-2)}, "end_at"), ({"start_at": timedelta(9)}, "end_at")],
)
def test_a_window_that_changes_nothing_is_refused_by_field(net: Network, changes: dict[str, Any], field: str) -> None:
    """Not less than the link carries; in the past; ended before it begins."""
    now = utc_now()
    window = {"start_at": now - timedelta(3), "end_at": now + timedelta(1), "gbit_s": 1.0, "note": ""}
    window |= {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    with pytest.raises(NetworkInvalid) as refused:
        network.add_window(net.database, OPERATOR, "c1", "c2", window)
    assert [item["field"] for item in refused.value.members["errors"]] == [field]
    with pytest.raises(LinkUnknown):
        network.add_window(net.database, OPERATOR, "c1", "c9", window)


def test_an_agent_registers_copies_at_its_own_centre_alone(net: Network) -> None:
    """The key belongs to c2."""
    agent = Principal("key_c2", "key", ORG, "operator", roles=frozenset({"agent"}))
    with net.database.transaction() as session:
        centre_store.add_key(session, "key_c2", "c2", utc_now())
    key = {"dataset": X, "version": "7", "centre": "c2", "view": "whole"}
    assert network.put_replica(net.database, agent, key, COPY)["bytes"] == GB
    with pytest.raises(NotYourCentre):
        network.put_replica(net.database, agent, key | {"centre": "c1"}, COPY)
