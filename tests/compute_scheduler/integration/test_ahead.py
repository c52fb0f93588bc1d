"""Work handed out before there is room for it: only where jobs are short, and never beyond a quota."""

from __future__ import annotations

from uuid import uuid4

import pytest
import sqlalchemy as sa
from brain_kit.database import Database
from compute_scheduler.service import picture
from compute_scheduler.store.tables import tenants

from tests.compute_scheduler.network import ORG, Network


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not make these jobs old."""
    monkeypatch.setattr(picture, "YOUNG_S", 600.0)


def run_short(network: Network, count: int) -> None:
    """So many jobs run and end at once."""
    attempts = [order["attempt"] for order in network.pull()["orders"]]
    assert len(attempts) == count
    for attempt in attempts:
        nonce = uuid4().hex
        assert network.claim(attempt, nonce)
        network.end(attempt, nonce, run_s=0.001)


def after_four_short_jobs(database: Database, *, queues: bool, more: int = 16) -> Network:
    """Four cores on which four short jobs have run, and more that wait. queues: whether the engine says it queues."""
    network = Network(database)
    network.open(queues=queues)
    for _ in range(4):
        network.submit()
    assert network.schedule() == 4
    for _ in range(more):
        network.submit()
    run_short(network, 4)
    return network


def test_after_short_jobs_more_is_handed_out_than_fits(database: Database) -> None:
    """Four cores, four short jobs ended within a third of a second: four get their cores, twelve follow in a second."""
    network = after_four_short_jobs(database, queues=True, more=20)
    assert [network.schedule(after_s=0.05) for _ in range(2)] == [16, 0]


def test_what_ended_half_a_second_ago_says_what_ends_in_a_second(database: Database) -> None:
    """Nothing has ended in the last third: four get their cores, and four are expected to follow."""
    network = after_four_short_jobs(database, queues=True, more=0)
    assert network.schedule(after_s=0.05) == 0  # it learns of the ends
    for _ in range(20):
        network.submit()
    assert [network.schedule(after_s=0.5), network.schedule(after_s=0.05)] == [8, 0]


def test_long_ago_is_no_reason_to_hand_out_ahead(database: Database) -> None:
    """The rate is that of the last second."""
    network = after_four_short_jobs(database, queues=True, more=0)
    assert network.schedule(after_s=0.05) == 0  # it learns of the ends
    for _ in range(16):
        network.submit()
    assert [network.schedule(after_s=1.5) for _ in range(3)] == [4, 0, 0]


def test_an_engine_that_does_not_queue_gets_what_fits(database: Database) -> None:
    """Its agent says so, and nobody else can know."""
    network = after_four_short_jobs(database, queues=False)
    assert [network.schedule(after_s=0.05) for _ in range(3)] == [4, 0, 0]


def test_work_handed_out_ahead_counts_in_the_quota(database: Database) -> None:
    """A quota of six cores: two may follow, not four."""
    network = after_four_short_jobs(database, queues=True)
    with database.transaction() as session:
        session.execute(sa.update(tenants).where(tenants.c.org == ORG).values(quota={"cores": 6.0}))
    assert [network.schedule(after_s=0.05) for _ in range(2)] == [6, 0]


def test_an_attempt_given_back_before_it_began_keeps_its_place(database: Database) -> None:
    """It waited for room that did not come; the job is no later in the queue for that."""
    network = Network(database)
    network.open(queues=True)
    job, attempt = network.started()
    queued_at = network.job(job)["queued_at"]
    network.end(attempt, uuid4().hex, cause="never_began", exit_code=None)
    after = network.job(job)
    assert (after["state"], after["queued_at"], after["returns"]) == ("queued", queued_at, 1)
    assert [row["outcome"] for row in network.attempts(job)] == ["returned"]
