"""What a job is expected to cost before it runs, and what it was charged afterwards, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from brain_kit.database import Database
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import control, estimates, ledger
from compute_scheduler.service.errors import JobRefused, JobUnknown
from compute_scheduler.service.tenancy import Actor

from tests.compute_scheduler.books import NEIGHBOUR, account, actor, record, set_prices
from tests.compute_scheduler.integration.test_sites import tell_energy, two
from tests.compute_scheduler.network import OPERATOR, ORG, Network


def costs(network: Network, job_id: str, who: Actor | None = None) -> dict[str, Any]:
    """What the API tells of a job's costs."""
    return estimates.costs_of(network.database, network.settings, who or network.actor, job_id)


def estimate(network: Network, **spec: Any) -> dict[str, Any]:
    """What a job of one core and 100 MB would cost."""
    body = {"name": "t", "command": ["true"], "resources": {"cores": 1, "memory_mb": 100}} | spec
    asked = (network.actor, JobSpec.model_validate(body), "")
    return estimates.estimate(network.database, network.settings, network.submissions, asked)


def priced(database: Database, **settings: Any) -> Network:
    """c1 at 3 yuan a core hour and 600 g/kWh, c2 at 1 yuan and 100; memory is free, a core takes 150 W with PUE."""
    network = two(database, **settings)
    set_prices(database, gib_hour="0")
    set_prices(database, gib_hour="0", centre="c1", core_hour="3")
    tell_energy(database, "c1", 600)
    tell_energy(database, "c2", 100)
    return network


def test_an_estimate_says_start_and_cost_at_each_centre_and_keeps_nothing(database: Database) -> None:
    """Two hours of a core: 6 yuan and 0.18 kg at c1, 2 yuan and 0.03 kg at c2, which is better when money counts."""
    network = priced(database, compute_scheduler_price_s=60.0)
    found = estimate(network, time_limit_s=7200)

    assert [(site["centre"], site["money_yuan"], site["co2_kg"]) for site in found["sites"]] == [
        ("c2", 2.0, 0.03),
        ("c1", 6.0, 0.18),
    ]
    assert found["earliest_start_at"] == found["as_of"]
    assert control.list_jobs(database, network.actor, {}, after="", limit=10)["items"] == []


def test_a_full_network_says_when_running_jobs_leave_room(database: Database) -> None:
    """Both nodes are taken by jobs of an hour: the next may start when the first of them ends."""
    network = priced(database)
    running = [network.submit(resources={"cores": 4, "memory_mb": 100}, time_limit_s=3600) for _ in range(2)]
    network.schedule()
    began = min(row["prepared_at"] for job in running for row in network.attempts(job))
    start = datetime.fromisoformat(estimate(network)["earliest_start_at"])

    assert abs(start.timestamp() - began.replace(tzinfo=UTC).timestamp() - 3600) < 2


def test_what_could_not_be_submitted_is_refused_with_its_field(database: Database) -> None:
    """A job larger than every node."""
    network = priced(database)
    with pytest.raises(JobRefused) as caught:
        estimate(network, resources={"cores": 40, "memory_mb": 100})
    assert [item["field"] for item in caught.value.members["errors"]] == ["resources"]


def test_a_waiting_job_tells_the_centre_that_would_be_chosen_and_a_started_one_where_it_went(
    database: Database,
) -> None:
    """The same figures before and after the start, until the ledger has what was used."""
    network = priced(database, compute_scheduler_price_s=60.0)
    job_id = network.submit(time_limit_s=7200)
    waiting = costs(network, job_id)
    network.schedule()
    started = costs(network, job_id)

    for told in (waiting, started):
        assert (told["expected"]["centre"], told["expected"]["money_yuan"], told["charged"]) == ("c2", 2.0, None)
    assert [site["centre"] for site in waiting["sites"]] == ["c2", "c1"]
    assert (started["sites"], started["earliest_start_at"]) == ([], None)


def test_what_was_charged_is_the_sum_of_the_ledger_with_its_corrections(database: Database) -> None:
    """An hour at 3 yuan in two attempts, the second taken back: 3 yuan, 0.15 kWh and 90 g are left of three entries."""
    network = priced(database)
    job_id = network.submit()
    started = datetime.now(UTC)
    first = record(1, org=ORG, started_at=started) | {"job": job_id, "memory_mb_s": 0.0}
    account(database, first, first | {"attempt": f"{job_id}.2"})
    ledger.post_pending(database)
    entries = ledger.list_entries(database, network.actor, {"job": job_id}, after="", limit=10)["items"]
    ledger.correct(database, OPERATOR, int(entries[1]["id"]), kind="reverse", price_list=None, reason="试验")

    charged = costs(network, job_id)["charged"]
    told = {"energy_kwh": 0.15, "energy_yuan": None, "co2_kg": 0.09}
    assert charged == {"amount": "3.000000", "currency": "CNY", "entries": 3, **told}
    page = control.list_jobs(database, network.actor, {}, after="", limit=10)
    listed = estimates.with_costs(database, network.settings, page)
    assert listed["items"][0]["charged"] == charged


def test_costs_of_another_organisations_job_do_not_exist(database: Database) -> None:
    """404, as the job itself."""
    network = priced(database)
    with pytest.raises(JobUnknown):
        costs(network, network.submit(), actor(NEIGHBOUR))
