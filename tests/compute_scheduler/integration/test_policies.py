"""The policy is a stored version: in force within a second, audited, never overwritten unseen."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.database import Database
from brain_kit.database.tables import OUTBOX
from compute_scheduler.service import policies
from compute_scheduler.service.errors import PolicyChanged, PolicyInvalid
from compute_scheduler.settings import Settings

from tests.compute_scheduler.integration.test_preemption import WHOLE, opened, running
from tests.compute_scheduler.network import OPERATOR, Network


def choose(network: Network, base: str = "default", replaces: str | None = None, **values: Any) -> dict[str, Any]:
    """A new version."""
    body = {"base": base, "values": values, "note": "试验", "replaces": replaces}
    return policies.set_policy(network.database, network.settings, OPERATOR, body)


def test_preemption_is_switched_on_and_off_without_a_restart(database: Database) -> None:
    """Off as shipped; on, the urgent job takes the place; off again, the next one waits."""
    network = opened(database)
    low, attempt = running(network, priority="low")
    high = network.submit(**WHOLE, priority="high")
    network.schedule()
    assert network.pull()["ends"] == []

    choose(network, preemption=True, preempt_after_s=0.0)
    network.schedule()
    assert network.pull()["ends"] == [attempt]
    assert high in network.job(low)["reason"]
    assert choose(network, preemption=False)["values"]["preemption"] is False


def test_the_base_of_a_version_decides_the_order(database: Database) -> None:
    """An hour and a minute wait for a node: by default the first submitted starts, with short-first the short one."""
    network = opened(database)
    _, attempt = running(network)
    long = network.submit(**WHOLE)
    short = network.submit(**WHOLE | {"time_limit_s": 60})
    network.schedule()
    choose(network, "short-first")
    network.end(attempt, "a" * 32)
    network.schedule()

    assert [network.job(job_id)["state"] for job_id in (long, short)] == ["queued", "starting"]


def test_settings_hold_until_there_is_a_version_and_absent_values_are_the_bases(database: Database) -> None:
    """The carbon policy holds four hours and weighs 500 s a kg (ADR 21); preemption stays as the settings say."""
    settings = Settings(compute_scheduler_price_s=7.0, compute_scheduler_preempt_most=9)
    first = policies.get_policy(database, settings)
    assert (first["id"], first["source"], first["values"]["price_s"]) == (None, "settings", 7.0)

    network = Network(database, compute_scheduler_preempt_most=9)
    made = choose(network, "carbon", price_s=3.0)
    told = made["values"]
    assert (told["carbon_s"], told["longest_hold_s"], told["price_s"], told["preempt_most"]) == (
        500.0,
        14_400.0,
        3.0,
        9,
    )
    assert policies.get_policy(database, settings) == made
    assert [item["id"] for item in policies.list_versions(database)] == [made["id"]]


def test_a_version_made_from_an_old_one_and_an_unknown_base_are_refused(database: Database) -> None:
    """Two operators who looked at the same version: the second is told, nothing is lost."""
    network = Network(database)
    first = choose(network, replaces="", price_s=1.0)
    with pytest.raises(PolicyChanged) as caught:
        choose(network, replaces="", price_s=2.0)
    assert caught.value.members["current"] == first["id"]
    assert choose(network, replaces=first["id"], price_s=2.0)["values"]["price_s"] == 2.0
    with pytest.raises(PolicyInvalid):
        choose(network, "lottery")


def test_a_change_is_audited_with_what_it_changed(database: Database) -> None:
    """Before and after of each value, and the reason."""
    network = Network(database)
    made = choose(network, price_s=60.0)
    with database.reading() as session:
        payloads = list(session.execute(sa.select(OUTBOX.c.data)).scalars())
    (event,) = [item for item in payloads if item.get("action") == "policy.set"]
    assert (event["object"], event["detail"]["changed"]) == (made["id"], {"price_s": [0.0, 60.0]})
    assert event["detail"]["note"] == "试验"
