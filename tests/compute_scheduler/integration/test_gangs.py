"""Gangs in the attempt protocol: all members begin or none, and no part of one outlives the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.service import control
from compute_scheduler.store.tables import attempts, jobs, segments

from tests.compute_scheduler.network import Network
from tests.compute_scheduler.yard import PYTHON, TALK, Yard

NONCES = ["a" * 32, "b" * 32, "c" * 32]


@pytest.fixture
def network(database: Database) -> Network:
    """A centre with a fresh session."""
    made = Network(database)
    made.open()
    return made


def gang(network: Network, size: int = 3, **spec: object) -> tuple[str, list[str]]:
    """(job, members) of a gang that was handed out."""
    job_id = network.submit(gang=size, **spec)
    network.schedule()
    orders = network.pull()["orders"]
    assert [order["attempt"] for order in orders] == [f"{job_id}.1.{rank}" for rank in range(size)]
    return job_id, [order["attempt"] for order in orders]


def running(network: Network, size: int = 3, **spec: object) -> tuple[str, list[str]]:
    """A gang whose members have all been let begin."""
    job_id, members = gang(network, size, **spec)
    for member, nonce in zip([*members, *members[:-1]], [*NONCES[:size], *NONCES], strict=False):
        network.ask(member, nonce)
    assert network.job(job_id)["state"] == "running"
    return job_id, members


def test_members_begin_when_all_have_come_and_not_before(network: Network) -> None:
    """Two of three wait, the third lets all begin; a member keeps its copy, and no other copy gets in."""
    job_id, members = gang(network)

    assert [network.ask(members[0], NONCES[0]), network.ask(members[1], NONCES[1])] == ["kept", "kept"]
    assert network.job(job_id)["state"] == "starting"
    assert "2 个已就位" in network.job(job_id)["reason"]
    assert network.ask(members[0], NONCES[2]) == "refused"
    assert network.ask(members[2], NONCES[2]) == "granted"
    assert network.job(job_id)["state"] == "running"
    assert [network.ask(member, nonce) for member, nonce in zip(members, NONCES, strict=True)] == ["granted"] * 3
    assert network.ask(members[1], NONCES[0]) == "refused"


def test_each_member_holds_its_share_and_is_accounted_for(network: Network) -> None:
    """Three members of a core leave one of four; the gang ends with the last of them, and three segments tell of it."""
    job_id, members = running(network)
    waiting = network.submit(resources={"cores": 2, "memory_mb": 100})
    network.schedule()
    assert network.job(waiting)["reason_code"] == "resources"

    network.end(members[1], NONCES[1])
    assert network.job(job_id)["state"] == "running"
    network.schedule()
    assert network.job(waiting)["state"] == "starting"
    network.end(members[0], NONCES[0])
    network.end(members[2], NONCES[2])

    assert (network.job(job_id)["state"], network.job(job_id)["exit_code"]) == ("succeeded", 0)
    with network.database.reading() as session:
        held = session.execute(sa.select(segments.c.attempt, segments.c.core_s)).all()
    assert {(row.attempt, row.core_s) for row in held} == {(member, 1.0) for member in members}


def test_when_one_fails_the_others_are_stopped_and_only_then_it_is_tried_again(network: Network) -> None:
    """No member of the next epoch is handed out while one of the last still runs."""
    job_id, members = running(network, retries=1)
    network.end(members[2], NONCES[2], exit_code=3)

    assert sorted(network.pull()["ends"]) == members[:2]
    network.schedule()
    assert network.job(job_id)["state"] == "running"
    for member, nonce in zip(members[:2], NONCES, strict=False):
        network.end(member, nonce, cause="cancelled", exit_code=None, signal=15)

    job = network.job(job_id)
    assert (job["state"], job["exit_code"], job["failures"]) == ("queued", 3, 1)
    assert "成员 2" in job["reason"]
    with network.database.transaction() as session:
        session.execute(sa.update(jobs).values(not_before_at=None))
    network.schedulers["a"].picture.forget()
    network.schedule()
    assert [order["attempt"] for order in network.pull()["orders"]] == [f"{job_id}.2.{rank}" for rank in range(3)]
    assert network.ask(members[0], NONCES[0]) == "refused"


def test_what_a_part_of_a_gang_holds_is_given_back_in_time(network: Network) -> None:
    """Members that wait longer than the hold go back together, without counting as a failure."""
    job_id, members = gang(network)
    network.ask(members[0], NONCES[0])
    network.schedule()
    assert network.job(job_id)["state"] == "starting"
    with network.database.transaction() as session:
        late = utc_now() - timedelta(seconds=network.settings.compute_scheduler_gang_hold_s + 1)
        session.execute(sa.update(attempts).where(attempts.c.nonce.is_not(None)).values(claimed_at=late))
    network.schedule()

    job = network.job(job_id)
    assert (job["failures"], job["returns"]) == (0, 1)
    ended = [row for row in network.attempts(job_id) if row["epoch"] == 1]
    assert [(row["state"], row["outcome"]) for row in ended] == [("ended", "returned")] * 3
    assert [network.ask(member, nonce) for member, nonce in zip(members, NONCES, strict=True)] == ["refused"] * 3


def wait_in_engine(network: Network, *members: str) -> None:
    """The centre's own queue holds them, for hours."""
    waits = [{"attempt": member, "reason": "Slurm 排队"} for member in members]
    network.exchange.report("c1", network.session, {"claims": [], "logs": [], "ended": [], "waits": waits})
    with network.database.transaction() as session:
        session.execute(sa.update(attempts).values(submitted_at=utc_now() - timedelta(hours=9)))


def test_waiting_in_the_queue_of_an_engine_is_not_a_hold(network: Network) -> None:
    """A job or a member that has not asked yet is left there; once all have asked, all begin."""
    job_id, attempt = network.started()
    _, members = gang(network, 2)
    wait_in_engine(network, attempt, *members)
    network.schedule()

    assert network.attempts(job_id)[0]["state"] == "submitted"
    assert [network.ask(member, nonce) for member, nonce in zip(members, NONCES, strict=False)] == ["kept", "granted"]
    assert network.ask(members[0], NONCES[0]) == "granted"
    assert network.ask(attempt, NONCES[2]) == "granted"


def test_a_gang_is_cancelled_as_a_whole(network: Network) -> None:
    """At once while none has begun; else when the last member has ended."""
    early, members = gang(network, 2)
    network.ask(members[0], NONCES[0])
    control.cancel(network.database, network.actor, early)
    assert network.job(early)["state"] == "cancelled"
    assert network.ask(members[1], NONCES[1]) == "refused"

    late, members = running(network, 2)
    control.cancel(network.database, network.actor, late)
    assert network.job(late)["state"] == "running"
    assert sorted(network.pull()["ends"]) == members
    network.end(members[0], NONCES[0], cause="cancelled", exit_code=None)
    assert network.job(late)["state"] == "running"
    network.end(members[1], NONCES[1], cause="cancelled", exit_code=None)
    assert network.job(late)["state"] == "cancelled"


def test_a_member_that_was_lost_takes_the_others_along(network: Network) -> None:
    """Its agent comes back without its folder: the rest is stopped, the gang is lost once."""
    job_id, members = running(network, retries=0)
    network.open(held=members[:2])
    assert sorted(network.pull()["ends"]) == members[:2]
    for member, nonce in zip(members[:2], NONCES, strict=False):
        network.end(member, nonce, cause="cancelled", exit_code=None)

    assert network.job(job_id)["state"] == "failed"
    assert "成员 2" in network.job(job_id)["reason"]


def test_members_are_told_how_to_find_each_other(network: Network) -> None:
    """Rank, size, addresses and a port that all know; outputs are those of the first member."""
    network.submit(gang=2, outputs=["r.csv"])
    network.schedule()
    first, second = network.pull()["orders"]

    assert [order["env"]["RANK"] for order in (first, second)] == ["0", "1"]
    assert first["env"]["WORLD_SIZE"] == second["env"]["WORLD_SIZE"] == "2"
    assert [order["env"]["LOCAL_RANK"] for order in (first, second)] == ["0", "1"]
    assert first["env"]["MASTER_ADDR"] == "n1"
    assert first["env"]["BRAIN_MEMBERS"] == "n1,n1"
    assert first["env"]["MASTER_PORT"] == second["env"]["MASTER_PORT"]
    assert (first["outputs"], second["outputs"]) == (["r.csv"], [])


def test_members_run_as_processes_that_meet(yard: Yard) -> None:
    """Rank 0 hears both others over TCP and leaves the output; each has a log of its own."""
    job_id = yard.submit(PYTHON, "-c", TALK, gang=3, resources={"cores": 0.5, "memory_mb": 100}, outputs=["sum.txt"])
    job = yard.ended(job_id)
    digest = job["outputs"]["sum.txt"]["sha256"]
    logs = [yard.call("GET", f"/v1/jobs/{job_id}/logs", params={"rank": rank}).content for rank in range(3)]

    assert (job["state"], job["gang"], len(job["attempts"])) == ("succeeded", 3, 3)
    assert yard.call("GET", f"/v1/files/{digest}").content == b"from 1,from 2"
    assert logs == [f"rank {rank} of 3 at 127.0.0.1,127.0.0.1,127.0.0.1\n".encode() for rank in range(3)]


def test_a_member_that_fails_ends_those_that_run(yard: Yard) -> None:
    """The others would have slept for a minute."""
    script = 'test "$RANK" = 1 && exit 7; exec sleep 60'
    job = yard.ended(yard.submit("sh", "-c", script, gang=3, resources={"cores": 0.5, "memory_mb": 50}), 30)

    assert (job["state"], job["exit_code"]) == ("failed", 7)
    assert "成员 1" in job["reason"]
    assert sorted(attempt["outcome"] for attempt in job["attempts"]) == ["cancelled", "cancelled", "failed"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"gang": 0}, "gang"),
        ({"gang": 257}, "gang"),
        ({"gang": 2, "env": {"RANK": "1"}}, "env"),
        ({"gang": 200, "resources": {"cores": 1, "memory_mb": 100}}, "resources"),
    ],
)
def test_a_gang_that_can_never_start_is_refused_with_the_reason(yard: Yard, spec: dict[str, Any], field: str) -> None:
    """Too few or too many members, names that the platform sets, more members than any centre holds."""
    problem = yard.problem("POST", "/v1/jobs", json={"name": "t", "command": ["true"]} | spec)

    assert problem["status"] == 422
    assert field in str(problem["errors"])
