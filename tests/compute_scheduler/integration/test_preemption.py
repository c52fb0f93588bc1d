"""Preemption in the attempt protocol: stopped, queued again with its reason and place, not counted as a failure."""

from __future__ import annotations

from typing import Any

import pytest
from brain_kit.database import Database
from compute_scheduler.service import control

from tests.compute_scheduler.network import Network

NONCE = "a" * 32
WHOLE = {"resources": {"cores": 4, "memory_mb": 100}, "time_limit_s": 3600}
ON = {"compute_scheduler_preemption": True, "compute_scheduler_preempt_after_s": 0.0}


def opened(database: Database, **settings: Any) -> Network:
    """A centre with a fresh session."""
    network = Network(database, **settings)
    network.open()
    return network


def running(network: Network, **spec: Any) -> tuple[str, str]:
    """(job, attempt) of a job that runs."""
    job_id, attempt = network.started(**WHOLE, **spec)
    assert network.claim(attempt, NONCE)
    return job_id, attempt


def test_a_running_job_makes_way_and_comes_back(database: Database) -> None:
    """The urgent job starts when the other has ended; that keeps its place in the queue and runs again."""
    network = opened(database, **ON)
    low, attempt = running(network, priority="low")
    queued_at = network.job(low)["queued_at"]
    high = network.submit(**WHOLE, priority="high")
    network.schedule()

    assert high in network.job(low)["reason"]
    assert "让出" in network.job(high)["reason"]
    assert network.pull()["ends"] == [attempt]
    network.schedule()
    assert network.job(high)["state"] == "queued"
    network.end(attempt, NONCE, cause="cancelled", exit_code=None, signal=15)
    job = network.job(low)
    assert (job["state"], job["preemptions"], job["failures"], job["returns"]) == ("queued", 1, 0, 0)
    assert job["queued_at"] == queued_at
    assert network.attempts(low)[0]["outcome"] == "preempted"

    network.schedule()
    assert network.job(high)["state"] == "starting"
    network.pull()
    assert network.claim(f"{high}.1", NONCE)
    network.end(f"{high}.1", NONCE)
    network.schedule()
    assert (network.job(low)["state"], network.job(low)["attempt"]) == ("starting", 2)


@pytest.mark.parametrize("settings", [{}, ON | {"compute_scheduler_preempt_after_s": 7200.0}])
def test_nothing_is_stopped_when_it_is_off_or_the_wait_is_short(database: Database, settings: dict[str, Any]) -> None:
    """Off is the default; an hour is short of two."""
    network = opened(database, **settings)
    running(network, priority="low")
    network.submit(**WHOLE, priority="high")
    network.schedule()

    assert network.pull()["ends"] == []


def test_preemptions_come_at_intervals(database: Database) -> None:
    """What was just started is not stopped a second later, but after the interval."""
    network = opened(database, **ON)
    small: dict[str, Any] = {"resources": {"cores": 2, "memory_mb": 100}, "time_limit_s": 3600}
    for number in range(2):
        _, attempt = network.started(**small, priority="low")
        assert network.claim(attempt, NONCE), number
    network.submit(**small, priority="normal")
    network.schedule()
    (first,) = network.pull()["ends"]
    network.end(first, NONCE, cause="cancelled", exit_code=None)
    network.schedule()
    network.submit(**small, priority="high")
    network.schedule()
    assert network.pull(ending=[first])["ends"] == []
    network.clock += 60.0
    network.schedule()
    assert len(network.pull(ending=[first])["ends"]) == 1


def test_a_cancellation_is_stronger_and_an_end_is_an_end(database: Database) -> None:
    """A job that is cancelled while it makes way is cancelled; one that ends by itself has succeeded."""
    network = opened(database, **ON)
    low, attempt = running(network, priority="low")
    high = network.submit(**WHOLE, priority="high")
    network.schedule()
    control.cancel(network.database, network.actor, low)
    network.end(attempt, NONCE, cause="cancelled", exit_code=None)
    assert network.job(low)["state"] == "cancelled"
    control.cancel(network.database, network.actor, high)

    low, attempt = running(network, priority="low")
    network.submit(**WHOLE, priority="high")
    network.clock += 60.0
    network.schedule()
    assert network.pull()["ends"] == [attempt]
    network.end(attempt, NONCE)
    assert (network.job(low)["state"], network.job(low)["preemptions"]) == ("succeeded", 0)
