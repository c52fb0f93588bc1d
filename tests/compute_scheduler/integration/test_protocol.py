"""The attempt protocol against the store: who may run what, whatever is repeated, lost or late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.api.agent import Pull, Report, SessionOpened
from compute_scheduler.service import centres, control
from compute_scheduler.service.errors import CentreHeld, CentreStillThere, SessionLost
from compute_scheduler.service.scheduling import LeaseLost
from compute_scheduler.store.tables import centres as centre_table
from compute_scheduler.store.tables import jobs, leases, segments

from tests.compute_scheduler.network import NODE, OPERATOR, Network

MINE, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def network(database: Database) -> Network:
    """A centre with a fresh session."""
    made = Network(database)
    made.open()
    return made


def silence(network: Network) -> None:
    """The agent has not been heard for longer than its lease."""
    with network.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(sa.update(centre_table).values(lease_until=past))


def test_a_job_goes_through_its_states_and_each_is_told(network: Network) -> None:
    """queued, starting, running, succeeded: four events, four attempt times, one accounting record."""
    job_id, attempt = network.started()
    assert network.claim(attempt, MINE)
    network.end(attempt, MINE, run_s=2.0, cpu_s=1.5)

    job = network.job(job_id)
    (row,) = network.attempts(job_id)
    assert (job["state"], job["exit_code"], job["attempt"]) == ("succeeded", 0, 1)
    assert row["prepared_at"] <= row["submitting_at"] <= row["submitted_at"] <= row["running_at"] <= row["ended_at"]
    with network.database.reading() as session:
        told = session.execute(
            sa.text("SELECT data FROM outbox WHERE topic = 'brain.compute.job.v1' ORDER BY id")
        ).scalars()
        import json

        states = [(json.loads(data) if isinstance(data, str) else data)["state"] for data in told]
        segment = session.execute(sa.select(segments)).mappings().one()
    assert states == ["queued", "starting", "running", "succeeded"]
    assert (segment["core_s"], segment["memory_mb_s"], segment["cpu_s"]) == (2.0, 200.0, 1.5)


def test_a_claim_is_granted_to_one_copy_only_and_again_to_the_same(network: Network) -> None:
    """Engines do run a job twice: the second copy is refused, the first may lose its answer and ask again."""
    _, attempt = network.started()
    assert network.claim(attempt, MINE)
    assert network.claim(attempt, MINE)
    assert not network.claim(attempt, OTHER)
    network.end(attempt, OTHER, exit_code=9)
    assert network.attempts(attempt.rpartition(".")[0])[0]["state"] == "running"
    network.end(attempt, MINE)
    assert not network.claim(attempt, MINE)


def test_what_a_lost_answer_carried_is_handed_out_again(network: Network) -> None:
    """To the session that comes back at once, else after five seconds; a running attempt never."""
    _, attempt = network.started()
    assert network.pull()["orders"] == []
    assert [order["attempt"] for order in network.pull(first=True)["orders"]] == [attempt]
    network.age_handing_out(6)
    assert [order["attempt"] for order in network.pull()["orders"]] == [attempt]
    assert network.claim(attempt, MINE)
    assert network.pull(first=True)["orders"] == []


def test_a_repeated_end_is_acknowledged_and_changes_nothing(network: Network) -> None:
    """The answer to the first was lost; the second must not count twice."""
    job_id, attempt = network.started(retries=3)
    network.claim(attempt, MINE)
    for _ in range(3):
        network.end(attempt, MINE, exit_code=1)
    assert network.job(job_id)["failures"] == 1
    with network.database.reading() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(segments)).scalar() == 1


def test_reports_that_come_again_in_any_order_change_nothing(network: Network) -> None:
    """After each report all earlier ones come once more, the latest first: two attempts, two records, one failure."""
    job_id, first = network.started(retries=1)
    sent: list[tuple[str, dict[str, Any]]] = []

    def say(kind: str, attempt: str, **record: Any) -> None:
        sent.append((attempt, record if kind == "end" else {}))
        for name, told in reversed(sent):
            network.end(name, MINE, **told) if told else network.claim(name, MINE)

    say("claim", first)
    say("end", first, exit_code=1)
    with network.database.transaction() as session:
        session.execute(sa.update(jobs).values(not_before_at=None))
    network.schedulers["a"].picture.forget()
    network.schedule()
    (order,) = network.pull()["orders"]
    assert order["attempt"] == f"{job_id}.2"
    say("claim", order["attempt"])
    assert not network.claim(first, MINE)
    say("end", order["attempt"], exit_code=0, run_s=3.0)
    job = network.job(job_id)
    assert (job["state"], job["failures"], job["attempt"]) == ("succeeded", 1, 2)
    assert [row["outcome"] for row in network.attempts(job_id)] == ["failed", "succeeded"]
    with network.database.reading() as session:
        told = session.execute(sa.select(segments.c.attempt, segments.c.wall_s)).all()
    assert sorted(map(tuple, told)) == [(first, 1.0), (order["attempt"], 3.0)]


def test_nothing_that_an_agent_says_carries_a_time_of_its_clock() -> None:
    """So it may go wrong by years: leases count by the service's clock, durations by the engine's monotonic one."""
    seen = str([model.model_json_schema() for model in (SessionOpened, Pull, Report)])
    assert "'session'" in seen
    assert [word for word in ("date-time", "_at'", "epoch") if word in seen] == []


def test_a_newer_session_fences_the_older_one(network: Network) -> None:
    """An agent that was stopped and comes back may neither take nor claim nor report."""
    _, attempt = network.started()
    old = network.session
    network.open()
    for act in (lambda: network.pull(session=old), lambda: network.claim(attempt, MINE, session=old)):
        with pytest.raises(SessionLost):
            act()
    assert network.claim(attempt, OTHER)


def test_another_agent_takes_a_centre_over_only_after_the_lease(network: Network) -> None:
    """What the old one was handed and had not claimed is handed to the new one, under another nonce."""
    _, attempt = network.started()
    with pytest.raises(CentreHeld):
        network.open(instance=OTHER)
    silence(network)
    network.open(instance=OTHER)
    assert [order["attempt"] for order in network.pull(first=True)["orders"]] == [attempt]


def test_a_running_attempt_that_the_agent_has_no_record_of_ends_with_a_reason(network: Network) -> None:
    """Its folder is gone: nobody can say how it ended. With a retry left the job goes back into the queue."""
    job_id, attempt = network.started(retries=1)
    network.claim(attempt, MINE)
    network.open(held=[])
    job = network.job(job_id)
    assert (job["state"], network.attempts(job_id)[0]["outcome"]) == ("queued", "lost")
    assert "没有这次运行的记录" in job["reason"]
    network.open(held=[attempt])
    assert network.open(held=[attempt])["stop"] == [attempt]


def test_a_silent_centre_keeps_what_it_runs_and_loses_what_it_has_not_claimed(network: Network) -> None:
    """The unclaimed one is fenced by its claim; the running one may still be running, so nothing else starts it."""
    running, first = network.started()
    network.claim(first, MINE)
    waiting, second = network.started()
    silence(network)
    network.schedule()
    assert network.job(waiting)["state"] == "queued"
    assert not network.claim(second, OTHER)
    assert network.job(running)["state"] == "running"
    assert "失联" in network.job(running)["reason"]
    network.open(held=[first])
    network.end(first, MINE)
    assert network.job(running)["state"] == "succeeded"


def test_only_a_silent_centre_can_be_declared_lost_and_then_its_work_ends(network: Network) -> None:
    """The operator vouches that the machines are off; the agent that comes back is told to stop what it has."""
    job_id, attempt = network.started()
    network.claim(attempt, MINE)
    with pytest.raises(CentreStillThere):
        centres.fence(network.database, OPERATOR, "c1")
    silence(network)
    assert centres.fence(network.database, OPERATOR, "c1") == 1
    assert network.job(job_id)["state"] == "failed"
    with pytest.raises(SessionLost):
        network.end(attempt, MINE)
    assert network.open(held=[attempt])["stop"] == [attempt]


@pytest.mark.parametrize("steps", range(4))
def test_a_job_can_be_cancelled_in_every_state_and_never_runs_afterwards(network: Network, steps: int) -> None:
    """queued, prepared, handed out: at once. Running: when its command has ended."""
    job_id = network.submit()
    attempt = f"{job_id}.1"
    if steps >= 1:
        network.schedule()
    if steps >= 2:
        network.pull()
    if steps >= 3:
        assert network.claim(attempt, MINE)
    control.cancel(network.database, network.actor, job_id)
    if steps < 3:
        assert network.job(job_id)["state"] == "cancelled"
        assert not network.claim(attempt, MINE)
    else:
        assert network.job(job_id)["state"] == "running"
        assert network.pull()["ends"] == [attempt]
        assert network.pull(ending=[attempt])["ends"] == []
        network.end(attempt, MINE, cause="cancelled", exit_code=None, signal=15)
        assert network.job(job_id)["state"] == "cancelled"
    network.schedule()
    assert network.job(job_id)["state"] == "cancelled"


def test_of_two_schedulers_one_plans_and_the_other_waits_for_its_lease(network: Network) -> None:
    """Nobody starts a job twice, and the second takes over when the first has gone silent."""
    ids = [network.submit() for _ in range(2)]
    assert network.schedule("a") == 2
    network.submit()
    assert network.schedule("b") == 0
    with network.database.transaction() as session:
        session.execute(sa.update(leases).values(until=utc_now() - timedelta(seconds=1)))
    assert network.schedule("b") == 1
    assert [network.job(job_id)["attempt"] for job_id in ids] == [1, 1]


def test_a_scheduler_that_slept_through_its_lease_writes_nothing(network: Network) -> None:
    """Its token is checked in the transaction that writes: the plan it made before is thrown away."""
    assert network.schedule("a") == 0
    job_id = network.submit()
    with network.database.transaction() as session:
        session.execute(sa.update(leases).values(holder="b", token=leases.c.token + 1))
    with pytest.raises(LeaseLost):
        network.schedule("a")
    assert network.job(job_id)["state"] == "queued"


@pytest.mark.parametrize("jump", [timedelta(hours=5), timedelta(hours=-5)])
def test_a_jump_of_the_clock_loses_no_job_and_charges_none(
    network: Network, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    """Leases run out or last too long; the claim still decides, and the account goes by the engine's own clock."""
    running, first = network.started()
    network.claim(first, MINE)
    waiting, second = network.started()

    def jumped() -> datetime:
        return utc_now() + jump

    for module in ("exchange", "scheduling", "control", "submit"):
        monkeypatch.setattr(f"compute_scheduler.service.{module}.utc_now", jumped)
    network.clock += 100
    network.schedule("a")
    network.schedule("b")
    network.open(held=[first, second])
    network.schedule("a")
    network.schedule("b")
    network.end(first, MINE, run_s=3.0)
    orders = {order["job"]: order["attempt"] for order in network.pull(first=True)["orders"]}
    assert orders.keys() == {waiting}
    assert network.claim(orders[waiting], MINE)
    assert orders[waiting] == second or not network.claim(second, OTHER)
    network.end(orders[waiting], MINE, run_s=3.0)
    assert [network.job(job_id)["state"] for job_id in (running, waiting)] == ["succeeded"] * 2
    with network.database.reading() as session:
        assert list(session.execute(sa.select(segments.c.wall_s)).scalars()) == [3.0, 3.0]


def test_a_full_node_makes_jobs_wait_and_says_why(network: Network) -> None:
    """Four cores: the fifth job of one core waits until one ends; its reason is in words."""
    ids = [network.submit() for _ in range(5)]
    assert network.schedule() == 4
    job = network.job(ids[4])
    assert job["state"] == "queued"
    assert job["reason_code"] in ("resources", "reservation")
    assert len(job["reason"]) > 4
    attempt = network.pull()["orders"][0]["attempt"]
    network.claim(attempt, MINE)
    network.end(attempt, MINE)
    assert network.schedule() == 1


def test_a_drained_node_takes_nothing_and_stays_drained_over_a_new_session(network: Network) -> None:
    """Draining is the operator's word, not the agent's."""
    centres.set_node_state(network.database, OPERATOR, "c1", NODE["name"], "drained")  # type: ignore[arg-type]
    network.open()
    job_id = network.submit()
    assert network.schedule() == 0
    assert network.job(job_id)["reason_code"] == "nodes_closed"
    centres.set_node_state(network.database, OPERATOR, "c1", NODE["name"], "up")  # type: ignore[arg-type]
    assert network.schedule() == 1


def test_the_database_itself_refuses_a_second_live_attempt(network: Network) -> None:
    """Whatever a later change of the code gets wrong."""
    from compute_scheduler.service.moves import Moves

    job_id, _ = network.started()

    def second() -> None:
        with network.database.transaction() as session:
            job: dict[str, Any] = dict(session.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one())
            job["state"] = "queued"
            moves = Moves(session, utc_now())
            moves.prepare(job, centre="c1", nodes=["c1/n1"], site=None, fence=1)
            moves.write()

    with pytest.raises(sa.exc.IntegrityError):
        second()
