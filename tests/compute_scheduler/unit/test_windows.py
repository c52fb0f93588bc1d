"""Reservations and maintenance in the plan, on networks small enough to work out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from compute_scheduler.domain.admission import earliest_start, objections
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.booking import parts, whole_nodes
from compute_scheduler.domain.decisions import Decisions
from compute_scheduler.domain.plan import plan
from compute_scheduler.domain.reservation_states import STATES, next_state
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot, Tenant, Window

NOW = 1000.0
FOUR = resources(4, 0)
NODES = (Node("n0", "c", FOUR), Node("n1", "c", FOUR))


def window(name: str = "w", start: float = 100.0, end: float = 200.0, **given: Any) -> Window:
    """A window of both nodes as a whole, times in seconds from now."""
    return Window(name, "c", NOW + start, NOW + end, **given)


def job(name: str, cores: float = 1, limit: float = 50.0, tenant: str = "a", **given: Any) -> QueuedJob:
    """A queued job."""
    return QueuedJob(name, tenant, resources(cores, 0), NOW - 10, limit, **given)


def network(*queued: QueuedJob, windows: tuple[Window, ...], **given: Any) -> Snapshot:
    """Two nodes of four cores in one centre."""
    told = {"nodes": NODES, "tenants": (Tenant("a"), Tenant("b"))} | given
    return Snapshot((Centre("c", "中心"),), queued=queued, windows=windows, **told)


def decided(*queued: QueuedJob, windows: tuple[Window, ...], **given: Any) -> Decisions:
    """The plan."""
    return plan(network(*queued, windows=windows, **given), NOW, Policy())


def codes(decisions: Decisions) -> dict[str, str]:
    """Reason codes of what waits."""
    return {name: reason.code for name, reason in decisions.waits()}


def starts(decisions: Decisions) -> dict[str, str]:
    """Node of each start."""
    return {start.job_id: start.node for start in decisions.starts}


def test_what_ends_when_a_window_begins_starts_and_what_ends_a_second_later_waits() -> None:
    """A hundred seconds before the window: a limit of 100 s touches it, one of 101 s reaches into it."""
    found = decided(job("fits", limit=100.0), job("late", limit=101.0), windows=(window(is_maintenance=True),))
    assert (list(starts(found)), codes(found)) == (["fits"], {"late": "maintenance_ahead"})
    assert found.reservations[0].start_at == NOW + 200.0


def test_a_window_that_ends_now_is_no_more() -> None:
    """It is open until just before its end."""
    assert list(starts(decided(job("j", limit=1e6), windows=(window(start=-100.0, end=0.0),)))) == ["j"]


def test_a_job_without_end_never_starts_before_a_window_and_starts_after_the_last() -> None:
    """Windows that touch leave no moment between them."""
    found = decided(job("j", limit=math.inf), windows=(window("v"), window("w", start=200.0, end=300.0)))
    assert codes(found) == {"j": "reserved_for_others"}
    assert found.reservations[0].start_at == NOW + 300.0


def test_only_what_is_left_beside_a_part_is_taken() -> None:
    """Three of four cores kept on each node: a job of one core starts on each, a third waits."""
    kept = (("n0", resources(3, 0)), ("n1", resources(3, 0)))
    found = decided(*[job(f"j{n}", limit=500.0) for n in range(3)], windows=(window(nodes=kept, tenants=("b",)),))
    assert (starts(found), codes(found)) == ({"j0": "n0", "j1": "n1"}, {"j2": "reserved_for_others"})


def test_what_its_own_jobs_hold_is_not_kept_a_second_time() -> None:
    """Three cores kept, two of them in use by b: a has the fourth core, as before, and not one more."""
    own = RunningJob("r", "b", resources(2, 0), "n0", NOW - 5, NOW + 1000)
    kept = (("n0", resources(3, 0)),)
    asked = (job("j0", limit=500.0, centres=("c",)), job("j1", limit=500.0))
    found = decided(*asked, windows=(window(start=-1.0, nodes=kept, tenants=("b",)),), running=(own,), nodes=NODES[:1])
    assert (starts(found), codes(found)) == ({"j0": "n0"}, {"j1": "reserved_for_others"})


def test_two_reservations_of_one_tenant_on_a_node_are_both_kept() -> None:
    """Two cores each for b, who holds two: two more stay kept, none is left for a."""
    own = RunningJob("r", "b", resources(2, 0), "n0", NOW - 5, NOW + 1000)
    both = tuple(window(name, start=-1.0, nodes=(("n0", resources(2, 0)),), tenants=("b",)) for name in "vw")
    found = decided(job("j", tenant="a"), job("k", tenant="b", cores=2), windows=both, running=(own,), nodes=NODES[:1])
    assert (starts(found), codes(found)) == ({"k": "n0"}, {"j": "reserved_for_others"})


def test_jobs_that_it_is_for_take_its_nodes_first() -> None:
    """n0 is the fuller node and would be the best fit; b's job goes to n1, which is kept for it."""
    other = RunningJob("r", "a", resources(1, 0), "n0", NOW - 5, NOW + 1000)
    found = decided(
        job("mine", tenant="b"), job("theirs"), running=(other,),
        windows=(window(start=-1.0, nodes=(("n1", None),), tenants=("b",)),),
    )  # fmt: skip
    assert starts(found) == {"mine": "n1", "theirs": "n0"}


def test_a_class_of_jobs_may_have_a_reservation() -> None:
    """Urgent jobs of any tenant start inside it, the others wait."""
    found = decided(job("j"), job("k", priority="high"), windows=(window(start=-1.0, priority="high"),))
    assert (list(starts(found)), codes(found)) == (["k"], {"j": "reserved_for_others"})


def test_what_runs_when_a_window_opens_delays_those_that_it_is_for() -> None:
    """All four cores taken by a until +60: b's job, inside its window, gets that start."""
    other = RunningJob("r", "a", FOUR, "n0", NOW - 5, NOW + 60)
    mine = job("mine", tenant="b")
    found = decided(mine, windows=(window(start=-1.0, tenants=("b",)),), running=(other,), nodes=NODES[:1])
    assert found.reservations[0].start_at == NOW + 60


def test_a_reservation_that_keeps_nothing_is_in_nobodys_way() -> None:
    """Zero cores on a node."""
    found = decided(
        job("j", cores=4, limit=500.0), windows=(window(nodes=(("n0", resources(0, 0)),)),), nodes=NODES[:1]
    )
    assert list(starts(found)) == ["j"]


def test_a_job_that_asks_for_nothing_does_not_start_in_maintenance() -> None:
    """Where amounts alone were counted, it would fit everywhere."""
    assert not decided(job("j", cores=0), windows=(window(start=-1.0, is_maintenance=True),)).starts


def test_a_gang_waits_until_enough_nodes_are_open() -> None:
    """Two members of four cores need both nodes; one is maintained until +200."""
    found = decided(
        job("g", cores=4, gang=2), windows=(window(start=-1.0, nodes=(("n1", None),), is_maintenance=True),)
    )
    assert codes(found) == {"g": "maintenance_ahead"}
    assert {(kept.node, kept.start_at) for kept in found.reservations} == {("n0", NOW + 200), ("n1", NOW + 200)}


def test_deadlines_and_the_earliest_start_know_windows() -> None:
    """The node is free, yet a job of 150 s starts at +200; due by +300 it cannot be in time, by +350 it can."""
    board = Board(network(windows=(window(is_maintenance=True),)))
    assert earliest_start(job("j", limit=150.0), board, NOW) == NOW + 200.0
    found = [objections(job("j", limit=150.0, deadline_at=NOW + due), board, NOW) for due in (300.0, 350.0)]
    assert [[item.code for item in one] for one in found] == [["deadline_profile"], []]


def test_a_named_reservation_counts_as_the_earliest_start() -> None:
    """It opens at +100: 50 s of work cannot be done by +120."""
    board = Board(network(windows=(window(tenants=("a",)),)))
    late = job("j", reservation="w", deadline_at=NOW + 120.0)
    assert [item.code for item in objections(late, board, NOW)] == ["deadline"]
    assert [item.code for item in objections(job("j", tenant="b", reservation="w"), board, NOW)] == ["reservation_over"]


@pytest.mark.parametrize("end", [50.0, 500.0])
def test_windows_that_are_put_and_taken_leave_no_trace_on_a_board(end: float) -> None:
    """As on a new board."""
    board = Board(network(job("j", limit=300.0), windows=()))
    board.put_windows((window(end=end + 100, is_maintenance=True),))
    assert not plan(board.snapshot(), NOW, Policy()).starts
    board.put_windows(())
    assert list(starts(plan(board.snapshot(), NOW, Policy()))) == ["j"]


def test_parts_are_chosen_beside_other_windows_and_away_from_what_runs() -> None:
    """n0 has work beyond the start: both parts of two cores go to n1; a third part goes to n0; a fifth has no room."""
    busy = RunningJob("r", "a", resources(1, 0), "n0", NOW - 5, NOW + 1000)
    asked, two = window(""), resources(2, 0)
    assert parts(NODES, (), asked, two, 2, (busy,)).nodes == (("n1", resources(4, 0)),)
    assert parts(NODES, (), asked, two, 3, (busy,)).nodes == (("n0", two), ("n1", resources(4, 0)))
    other = window("v", start=150.0, end=400.0, nodes=(("n1", resources(3, 0)),))
    booked = parts(NODES, (other,), asked, two, 3)
    assert (booked.missing, booked.by, booked.most) == (1, ("v",), 3)
    assert parts(NODES, (window("v", start=200.0, end=300.0),), asked, two, 4).missing == 0


def test_whole_nodes_meet_only_windows_of_the_same_nodes_and_time() -> None:
    """Another node, or a time that touches, is no conflict; a part of the node is."""
    asked = window("")
    known = (
        window("other", nodes=(("n1", None),)),
        window("touches", start=200.0, end=300.0),
        window("part", nodes=(("n0", resources(1, 0)),)),
    )
    assert whole_nodes(["n0"], known, asked).by == ("part",)
    assert whole_nodes([], known, asked).by == ("other", "part")
    assert whole_nodes(["n0"], known[:2], asked).missing == 0


def test_states_have_no_dead_end_and_no_way_back() -> None:
    """Every state but the final ones leads on, and the clock alone never takes a window back to planned."""
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 12, 1, tzinfo=UTC)
    end = start + timedelta(hours=1)
    for state in STATES:
        for now in (start - timedelta(hours=9), start, end - timedelta(seconds=1), end):
            after = next_state(state, start, end, now)
            assert after == state or after in STATES[state]
    assert next_state("open", start, end, start - timedelta(hours=9)) == "open"
    assert [next_state("planned", start, end, now) for now in (start, end)] == ["open", "over"]
