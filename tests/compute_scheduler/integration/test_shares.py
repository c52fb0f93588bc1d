"""Parts of accelerators and choices of kinds, from the specification to the agent's order and the account."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.engine.contract import Health
from compute_scheduler.service import ledger
from compute_scheduler.service.errors import JobRefused
from compute_scheduler.store import centres
from compute_scheduler.store.ledger_tables import postings
from compute_scheduler.store.tables import segments

from tests.compute_scheduler import network as module
from tests.compute_scheduler.network import NODE, Network

CARDS = {"A100": 2, "V100": 1}


@pytest.fixture
def network(database: Database, monkeypatch: pytest.MonkeyPatch) -> Network:
    """One centre whose engine gives parts, one node with two kinds of cards."""
    monkeypatch.setattr(module, "NODE", NODE | {"accelerators": CARDS})
    made = Network(database)
    made.open()
    tell(made, shares=True)
    return made


def tell(network: Network, *, shares: bool) -> None:
    """The agent says what its engine can."""
    nodes = [NODE | {"accelerators": CARDS}]
    state = {"nodes": nodes, "health": Health(shares=shares).document()}
    network.exchange.report("c1", network.session, {"claims": [], "logs": [], "ended": [], "state": state})


def asked(accelerators: dict[str, Any], cores: float = 0.5) -> dict[str, Any]:
    """Resources with accelerators."""
    return {"resources": {"cores": cores, "memory_mb": 100, "accelerators": accelerators}}


def test_two_halves_share_a_device_and_a_whole_one_is_another(network: Network) -> None:
    """Orders carry the kind, the part and the device; a third half goes to the second device, a fifth waits."""
    for _ in range(2):
        network.submit(**asked({"A100": 0.5}))
    network.schedule()
    first = network.pull()["orders"]
    assert [order["resources"]["accelerators"] for order in first] == [{"A100": 0.5}] * 2
    assert [order["resources"]["devices"] for order in first] == [{"A100": [0]}] * 2
    assert {order["env"]["BRAIN_ACCELERATORS"] for order in first} == {"A100=0.5"}
    # Told to a scheduler that has seen nothing of it, the device still counts as full.
    network.schedulers["a"].picture.forget()
    network.submit(**asked({"A100": 1}))
    waits = network.submit(**asked({"A100": 1}))
    network.schedule()
    (third,) = network.pull()["orders"]
    assert third["resources"]["devices"] == {"A100": [1]}
    assert network.job(waits)["state"] == "queued"


def test_any_of_several_kinds_gets_one_of_them(network: Network) -> None:
    """Of H20 or V100 the one that its node has, and so it is told, though the specification keeps both."""
    job_id = network.submit(**asked({"kinds": ["V100", "H20"], "number": 0.5}))
    network.schedule()
    (order,) = network.pull()["orders"]
    assert (order["resources"]["accelerators"], order["env"]["BRAIN_ACCELERATORS"]) == ({"V100": 0.5}, "V100=0.5")
    assert network.job(job_id)["spec"]["resources"]["accelerators"] == {"H20|V100": 0.5}
    assert network.attempts(job_id)[0]["accelerators"] == {"V100": {"amount": 0.5, "devices": [0]}}


def test_accounts_count_the_part_at_the_price_of_the_kind(network: Network) -> None:
    """A quarter of a V100 for 100 s: 25 card seconds, 0.0625 yuan at 9 yuan an hour."""
    with network.database.transaction() as session:
        price = {"core_hour": 0, "gib_hour": 0, "gb_moved": 0, "accelerator_hour": {"V100": 9_000_000, "*": 1}}
        row = {"id": "prl_1", "centre": "", "prices": price, "note": "", "created_by": "t", "created_at": utc_now()}
        ledger.store.insert_price_list(session, row | {"valid_from": utc_now()})
    _, attempt = network.started(**asked({"V100": 0.25}))
    nonce = "0" * 32
    assert network.claim(attempt, nonce)
    network.end(attempt, nonce, run_s=100.0)
    with network.database.reading() as session:
        record = session.execute(sa.select(segments)).mappings().one()
        assert record["accelerator_s"] == {"V100": 25.0}
    ledger.post_pending(network.database)
    with network.database.reading() as session:
        assert sorted(session.execute(sa.select(postings.c.amount)).scalars()) == [-62_500, 62_500]


def test_what_no_node_has_is_refused_with_what_there_is(network: Network) -> None:
    """The kinds that are there are named, or how many of one a node has at most."""
    for accelerators, field, word in [
        ({"H20": 0.5}, "resources.accelerators.H20", "A100、V100"),
        ({"H20|H800": 1}, "resources.accelerators.H20|H800", "H20 或 H800"),
        ({"A100": 3}, "resources", "最多 2 张"),
    ]:
        with pytest.raises(JobRefused) as caught:
            network.submit(**asked(accelerators))
        (error,) = caught.value.members["errors"]
        assert error["field"] == field
        assert word in error["reason"]


def test_parts_go_only_where_the_engine_gives_them(network: Network) -> None:
    """Refused at the door when no engine does; a job that queued before goes to the centre that still does."""
    waits = network.submit(**asked({"A100": 0.5}))
    tell(network, shares=False)
    with pytest.raises(JobRefused, match="整块"):
        network.submit(**asked({"A100": 0.5}))
    with pytest.raises(JobRefused, match="算力中心 c1"):
        network.submit(centre="c1", **asked({"A100": 0.5}))
    network.submit(**asked({"A100": 1}))
    with network.database.transaction() as session:
        centre = centres.centre(session, "c1")
        assert centre is not None
        other = centre | {"id": "c2", "capabilities": {"health": {"shares": True}}}
        centres.insert_centre(session, other)
    network.schedule()
    assert network.job(waits)["state"] == "queued"
    tell(network, shares=True)
    network.schedule()
    assert network.job(waits)["state"] == "starting"
