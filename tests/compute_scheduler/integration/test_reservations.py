"""Reservations and maintenance windows from the request to the attempt: who starts when, what opens and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.database.tables import OUTBOX
from brain_kit.problems import Problem
from compute_scheduler.service import centres, control, estimates, reservations, scheduling
from compute_scheduler.service.errors import IdempotencyKeyReused, JobRefused
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import reservations as store
from compute_scheduler.store.reservation_tables import reservations as table

from tests.compute_scheduler.integration.test_preemption import NONCE, WHOLE, opened, running
from tests.compute_scheduler.lives import points
from tests.compute_scheduler.network import NODE, OPERATOR, ORG, Network

OTHER = "12370300MB2803001L"
TENANT = Actor(Principal("usr_2", "user", OTHER, "department", roles=frozenset({"analyst"})))
TOPIC = "brain.compute.reservation.v1"
DAY = timedelta(days=1)


class Known:
    """Identity, which knows every organisation; its answers are tested in `test_api.py`."""

    def check(self, uscc: str, field: str = "owner") -> None:
        """Always."""


def body(**given: Any) -> dict[str, Any]:
    """A reservation of the only node for another organisation, in an hour for an hour."""
    now = utc_now()
    return {
        "kind": "reservation", "centre": "c1", "title": "汛期预报", "purpose": "不宜外传", "orgs": [OTHER],
        "start_at": now + timedelta(hours=1), "end_at": now + timedelta(hours=2),
        "priority": None, "resources": None, "count": 1, "nodes": ["n1"], "running": "leave",
    } | given  # fmt: skip


def maintenance(**given: Any) -> dict[str, Any]:
    """Maintenance of the whole centre, in an hour for an hour."""
    return body(kind="maintenance", orgs=[], nodes=[], title="换电源") | given


def make(network: Network, asked: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """The row that was made."""
    told = (asked, key)
    made, _ = reservations.make(network.database, network.settings, Actor(OPERATOR), Known(), told)  # type: ignore[arg-type]
    return made


def move(network: Network, reservation: str, start_at: datetime, end_at: datetime) -> None:
    """Lets a window begin and end at other times, as if so much time had passed."""
    with network.database.transaction() as session:
        values = {"start_at": start_at, "end_at": end_at}
        session.execute(sa.update(table).where(table.c.id == reservation).values(values))


def begun(network: Network, asked: dict[str, Any]) -> str:
    """The id of a window that has opened."""
    made = make(network, asked)["id"]
    now = utc_now()
    move(network, made, now - timedelta(seconds=1), now + timedelta(hours=1))
    network.schedule()
    return str(made)


def over(network: Network, reservation: str) -> None:
    """Ends a window by its time."""
    now = utc_now()
    move(network, reservation, now - timedelta(hours=1), now - timedelta(seconds=1))
    network.schedule()


def told(network: Network) -> list[tuple[str, str]]:
    """(id, state) of every event of reservations in order."""
    with network.database.reading() as session:
        query = sa.select(OUTBOX.c.data).where(OUTBOX.c.topic == TOPIC).order_by(OUTBOX.c.id)
        data = list(session.execute(query).scalars())
    return [(item["reservation_id"], item["state"]) for item in data]


def state(network: Network, reservation: str) -> str:
    """The stored state."""
    with network.database.reading() as session:
        row = store.one(session, reservation)
    assert row is not None
    return str(row["state"])


def node_state(network: Network) -> str:
    """What people see of the only node."""
    return str(centres.get_centre(network.database, "c1")["nodes"][0]["state"])


def test_only_what_ends_in_time_starts_before_a_reservation_of_others(database: Database) -> None:
    """Half an hour fits before it, two hours wait; the reason tells times, neither title nor whose it is."""
    network = opened(database)
    made = make(network, body())
    long, short = network.submit(**WHOLE | {"time_limit_s": 7200}), network.submit(**WHOLE | {"time_limit_s": 1800})
    network.schedule()
    job = network.job(long)
    assert network.job(short)["state"] == "starting"
    assert (job["state"], job["reason_code"]) == ("queued", "reserved_for_others")
    assert job["predicted_start_at"] >= made_end(made)
    assert not any(word in job["reason"] for word in ("汛期", "外传", OTHER, made["id"]))


def made_end(made: dict[str, Any]) -> datetime:
    """When a window ends."""
    return datetime.fromisoformat(made["end_at"])


def test_cancelling_gives_back_what_was_kept(database: Database) -> None:
    """The waiting job starts at the next plan; a second cancel is told that it came too late."""
    network = opened(database)
    made = make(network, body())["id"]
    long = network.submit(**WHOLE | {"time_limit_s": 7200})
    network.schedule()
    assert network.job(long)["state"] == "queued"
    reservations.cancel(database, Actor(OPERATOR), made, "不需要了")
    network.schedule()
    assert network.job(long)["state"] == "starting"
    assert told(network) == [(made, "planned"), (made, "cancelled")]
    with pytest.raises(Problem) as caught:
        reservations.cancel(database, Actor(OPERATOR), made, "再来")
    assert caught.value.code == "reservation_ended"


def test_a_job_that_names_its_reservation_waits_for_it_and_fails_when_it_is_over(database: Database) -> None:
    """Inside it starts where others may not; one still waiting at the end is told that there is no more reservation."""
    network = opened(database)
    made = make(network, body(orgs=[ORG]))["id"]
    named = network.submit(reservation=made)
    network.schedule()
    job = network.job(named)
    assert (job["state"], job["reason_code"]) == ("queued", "reservation_ahead")
    now = utc_now()
    move(network, made, now - timedelta(seconds=1), now + timedelta(hours=1))
    network.schedule()
    assert network.job(named)["state"] == "starting"
    assert control.get_job(database, network.actor, named)["reservation"] == made
    waits = network.submit(**WHOLE, reservation=made)
    network.schedule()
    assert network.job(waits)["state"] == "queued"
    over(network, made)
    network.schedule()
    job = network.job(waits)
    assert (job["state"], job["reason_code"]) == ("failed", "reservation_over")


def test_naming_a_reservation_of_others_or_none_is_refused_at_once(database: Database) -> None:
    """The same words for both, so that nobody learns what there is."""
    network = opened(database)
    made = make(network, body())["id"]
    for name in (made, "rsv_" + "0" * 26):
        with pytest.raises(JobRefused) as caught:
            network.submit(reservation=name)
        (error,) = caught.value.members["errors"]
        assert (error["field"], error["code"]) == ("reservation", "reservation_over")


def test_deadlines_and_estimates_know_windows(database: Database) -> None:
    """An empty node in maintenance is no room: a deadline before its end is refused, the start told after it."""
    network = opened(database)
    made = make(network, maintenance(start_at=utc_now(), end_at=utc_now() + timedelta(hours=2)))
    late = (utc_now() + timedelta(hours=1)).isoformat()
    with pytest.raises(JobRefused) as caught:
        network.submit(deadline=late, time_limit_s=600)
    assert [error["code"] for error in caught.value.members["errors"]] == ["deadline_profile"]
    job = network.submit(time_limit_s=600)
    outlook = estimates.costs_of(database, network.settings, network.actor, job)
    assert outlook["earliest_start_at"] == made["end_at"]


def test_maintenance_opens_and_ends_by_itself_and_what_runs_is_left(database: Database) -> None:
    """The node shows it, nothing starts, the running job goes on to its end; afterwards all is as before."""
    network = opened(database)
    job_id, attempt = running(network)
    window = begun(network, maintenance())
    waits = network.submit(time_limit_s=60)
    network.schedule()
    assert (node_state(network), state(network, window)) == ("maintenance", "open")
    assert (network.job(job_id)["state"], network.pull()["ends"]) == ("running", [])
    network.end(attempt, NONCE)
    network.schedule()
    assert network.job(waits)["reason_code"] == "maintenance_ahead"
    over(network, window)
    network.schedule()
    assert (node_state(network), network.job(waits)["state"]) == ("up", "starting")
    assert told(network) == [(window, "planned"), (window, "open"), (window, "over")]


@pytest.mark.parametrize(("way", "after"), [("requeue", "queued"), ("end", "cancelled")])
def test_maintenance_may_stop_what_runs_when_it_opens(database: Database, way: str, after: str) -> None:
    """Back to the queue in its old place, or ended for good, each with its reason; nothing counts as a failure."""
    network = opened(database)
    job_id, attempt = running(network)
    queued_at = network.job(job_id)["queued_at"]
    window = begun(network, maintenance(running=way))
    assert window in network.job(job_id)["reason"]
    assert network.pull()["ends"] == [attempt]
    network.end(attempt, NONCE, cause="cancelled", exit_code=None, signal=15)
    job = network.job(job_id)
    assert (job["state"], job["returns"]) == (after, 0)
    assert way == "end" or job["failures"] == 0
    assert "维护窗口" in job["reason"]
    assert job["queued_at"] == queued_at
    network.schedule()
    assert network.job(job_id)["state"] == after


def test_a_gang_makes_way_as_a_whole_and_unclaimed_work_is_taken_back(database: Database) -> None:
    """Both members are stopped and the gang queues again; a job whose command has not begun is refused its claim."""
    network = opened(database)
    gang = network.submit(gang=2, time_limit_s=60)
    network.schedule()
    members = sorted(order["attempt"] for order in network.pull()["orders"])
    assert [network.ask(name, NONCE[:31] + str(rank)) for rank, name in enumerate(members)] == ["kept", "granted"]
    young = network.submit(time_limit_s=60)
    network.schedule()
    network.pull()
    begun(network, maintenance(running="requeue"))
    assert sorted(network.pull()["ends"]) == members
    for rank, name in enumerate(members):
        network.end(name, NONCE[:31] + str(rank), cause="cancelled", exit_code=None, signal=15)
    job = network.job(gang)
    assert (job["state"], job["failures"], job["preemptions"]) == ("queued", 0, 1)
    assert network.job(young)["state"] == "queued"
    assert network.ask(f"{young}.1", NONCE) == "refused"


def test_a_window_that_has_opened_stays_open_when_the_clock_steps_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an hour before its start by the new clock, a job of ten minutes still does not start on its nodes."""
    network = opened(database)
    window = begun(network, maintenance())
    monkeypatch.setattr(scheduling, "utc_now", lambda: utc_now() - timedelta(minutes=30))
    waits = network.submit(time_limit_s=600)
    network.schedule()
    assert (state(network, window), network.job(waits)["state"]) == ("open", "queued")
    assert told(network) == [(window, "planned"), (window, "open")]


def test_a_window_that_passed_while_nobody_was_there_is_over_without_having_opened(database: Database) -> None:
    """Nothing is stopped for a maintenance that lies in the past."""
    network = opened(database)
    job_id, _ = running(network)
    window = make(network, maintenance(running="end"))["id"]
    over(network, window)
    assert (state(network, window), network.job(job_id)["state"]) == ("over", "running")
    assert told(network) == [(window, "planned"), (window, "over")]


def test_of_two_schedulers_one_turns_the_window(database: Database) -> None:
    """The one that holds the lease; when it is overtaken in the middle, nothing that it wrote stays."""
    network = opened(database)
    window = begun(network, maintenance())
    network.schedule("b")
    now = utc_now()
    move(network, window, now - timedelta(hours=1), now - timedelta(seconds=1))
    network.schedulers["a"]._token = 77
    with pytest.raises(scheduling.LeaseLost):
        network.schedule("a")
    assert state(network, window) == "open"
    network.schedule("a")
    assert told(network) == [(window, "planned"), (window, "open"), (window, "over")]


KILL = """
import os, signal, sys
from brain_kit.database import Database
from compute_scheduler import steps
from compute_scheduler.service.scheduling import Scheduler
from compute_scheduler.settings import Settings
url, point = sys.argv[1:]
steps.on_reach(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == point else None)
Scheduler(Database(url, name="compute-scheduler"), Settings(), "a").step(1.0)
"""


@pytest.mark.fault
@pytest.mark.parametrize("point", points("window:"))
def test_a_kill_between_any_two_steps_opens_the_window_once(database: Database, point: str) -> None:
    """State, event and stopped jobs come together or not at all; the next scheduler does what is left, once."""
    network = opened(database)
    job_id, attempt = running(network)
    window = make(network, maintenance(running="requeue"))["id"]
    now = utc_now()
    move(network, window, now - timedelta(seconds=1), now + timedelta(hours=1))
    with network.database.transaction() as session:
        centres_store_release(session)
    url = network.database._url.render_as_string(hide_password=False)
    died = subprocess.run([sys.executable, "-c", KILL, url, point], capture_output=True, text=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    is_done = point == "window:turned"
    assert (state(network, window) == "open") is is_done
    assert (network.job(job_id)["reason_code"] == "maintenance") is is_done
    network.schedulers["a"] = scheduling.Scheduler(database, network.settings, "a")
    network.schedule()
    assert told(network) == [(window, "planned"), (window, "open")]
    assert network.pull()["ends"] == [attempt]


def centres_store_release(session: Any) -> None:
    """Lets the next scheduler of that name take the lease at once."""
    from compute_scheduler.store import centres as centre_store

    centre_store.release_lease(session, scheduling.LEASE, "a", utc_now())


def test_parts_go_where_there_is_room_beside_other_reservations(database: Database) -> None:
    """Two parts of one core leave two of four; then three more are refused by name, and five are more than there is."""
    network = opened(database)
    part = {"cores": 1.0, "memory_mb": 100, "accelerators": {}}
    made = make(network, body(nodes=[], resources=part, count=2))
    assert made["nodes"] == [{"node": "c1/n1", "kept": {"cores": 2.0, "memory_mb": 200, "accelerators": {}}}]
    with pytest.raises(Problem) as caught:
        make(network, body(nodes=[], resources=part, count=3))
    assert (caught.value.code, [item["id"] for item in caught.value.members["reservations"]]) == (
        "reservation_overlaps",
        [made["id"]],
    )
    assert made["id"] in str(caught.value)
    with pytest.raises(Problem) as caught:
        make(network, body(nodes=[], resources=part, count=5))
    assert (caught.value.code, caught.value.members["errors"][0]["field"]) == ("reservation_invalid", "count")
    touching = {"start_at": made_end(made), "end_at": made_end(made) + timedelta(hours=1)}
    assert make(network, body(nodes=[], resources=part, count=4) | touching)["state"] == "planned"


NOW = utc_now()
BAD: list[tuple[dict[str, Any], str]] = [
    ({"end_at": NOW - DAY, "start_at": NOW - 2 * DAY}, "end_at"),
    ({"start_at": NOW - DAY}, "start_at"),
    ({"start_at": NOW + 2 * DAY, "end_at": NOW + DAY}, "end_at"),
    ({"end_at": NOW + 400 * DAY}, "end_at"),
    ({"nodes": ["n1", "n9"]}, "nodes.1"),
    ({"nodes": []}, "nodes"),
    ({"orgs": []}, "orgs"),
    ({"priority": "high"}, "priority"),
    ({"running": "end"}, "running"),
    ({"kind": "maintenance"}, "orgs"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
def test_what_can_never_be_is_refused_by_field(database: Database, given: dict[str, Any], field: str) -> None:
    """Past, backwards, too long, unknown nodes, for nobody, for two kinds at once."""
    network = opened(database)
    with pytest.raises(Problem) as caught:
        make(network, body(**given))
    assert [error["field"] for error in caught.value.members["errors"]] == [field]
    assert reservations.list_all(database, Actor(OPERATOR), {}, after="", limit=10)["items"] == []


def test_an_unknown_centre_is_told(database: Database) -> None:
    """Not a reservation of nothing."""
    with pytest.raises(Problem) as caught:
        make(opened(database), body(centre="nowhere"))
    assert caught.value.code == "centre_unknown"


def test_maintenance_over_a_reservation_names_it(database: Database) -> None:
    """The operator cancels that first, and its organisation hears of it; two maintenance windows may overlap."""
    network = opened(database)
    made = make(network, body())["id"]
    with pytest.raises(Problem) as caught:
        make(network, maintenance())
    assert [item["id"] for item in caught.value.members["reservations"]] == [made]
    reservations.cancel(database, Actor(OPERATOR), made, "改期")
    make(network, maintenance())
    make(network, maintenance(nodes=["n1"]))


def test_a_tenant_sees_its_own_and_all_maintenance_and_nothing_of_its_neighbour(database: Database) -> None:
    """Neither in the list nor by id; of a reservation for several it does not see the others."""
    network = opened(database)
    both, theirs = make(network, body(orgs=[OTHER, ORG]))["id"], None
    reservations.cancel(database, Actor(OPERATOR), both, "改期")
    theirs = make(network, body(orgs=[ORG]))["id"]
    reservations.cancel(database, Actor(OPERATOR), theirs, "改期")
    window = make(network, maintenance())["id"]
    seen = reservations.list_all(database, TENANT, {}, after="", limit=10)["items"]
    assert {item["id"] for item in seen} == {both, window}
    assert [item["orgs"] for item in seen if item["id"] == both] == [[OTHER]]
    with pytest.raises(Problem) as caught:
        reservations.get(database, TENANT, theirs)
    assert caught.value.code == "reservation_unknown"


def test_a_repeated_request_makes_no_second_reservation(database: Database) -> None:
    """The same key gives the same row; with other content it is refused."""
    network = opened(database)
    asked = body()
    first = make(network, asked, "k1")
    assert make(network, asked, "k1")["id"] == first["id"]
    with pytest.raises(IdempotencyKeyReused):
        make(network, asked | {"title": "别的"}, "k1")
    assert told(network) == [(first["id"], "planned")]


def test_a_preview_names_running_and_waiting_jobs_and_keeps_nothing(database: Database) -> None:
    """One runs into it, one would have to wait for its end, one is short enough."""
    network = opened(database)
    job_id, _ = network.started(time_limit_s=7200)
    waiting, short = network.submit(time_limit_s=7200), network.submit(time_limit_s=600)
    seen = reservations.preview(database, network.settings, Known(), body())  # type: ignore[arg-type]
    assert [item["job"] for item in seen["running"]] == [job_id]
    assert [item["job"] for item in seen["waiting"]] == [waiting]
    assert seen["waiting"][0]["then_at"] >= body()["end_at"].isoformat()[:16]
    network.schedule()
    assert {network.job(name)["state"] for name in (waiting, short)} == {"starting"}


def test_the_page_of_a_reservation_tells_what_went_unused(database: Database) -> None:
    """Four cores kept for an hour, one core of them used for half of it: 4.0 kept, 0.5 used, 3.5 unused."""
    network = opened(database)
    made = make(network, body(orgs=[ORG]))["id"]
    _, attempt = network.started(time_limit_s=7200)
    assert network.claim(attempt, NONCE)
    now = utc_now()
    move(network, made, now - timedelta(hours=1), now)
    network.end(attempt, NONCE, run_s=1800.0)
    with network.database.transaction() as session:
        from compute_scheduler.store.tables import segments

        session.execute(sa.update(segments).values(started_at=now - timedelta(minutes=30), ended_at=now))
    use = reservations.get(database, Actor(OPERATOR), made)["use"]
    hours = [use[name] for name in ("kept_core_h", "used_core_h", "unused_core_h")]
    assert hours == [pytest.approx(4.0, abs=0.01), pytest.approx(0.5, abs=0.01), pytest.approx(3.5, abs=0.01)]
    assert NODE["cores"] == 4.0
