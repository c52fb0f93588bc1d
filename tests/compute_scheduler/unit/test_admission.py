"""What is refused before it is queued."""

from __future__ import annotations

from compute_scheduler.domain.admission import objections
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.resources import Resources, resources
from compute_scheduler.domain.snapshot import Centre, Node, QueuedJob, Quota, RunningJob, Snapshot, Tenant

BOARD = Board(
    Snapshot(
        (Centre("c", "淄博", "drained"),),
        (Node("n", "c", resources(8, 1000)),),
        (Tenant("t", Quota({"cores": 4})), Tenant("u")),
        running=(RunningJob("r", "t", resources(4, 0), "n", 0.0, 100.0),),
    )
)


def ask(demand: Resources, tenant: str = "t", **more: object) -> list[tuple[str, str]]:
    """Field and code of each objection to a job with a limit of 100 s at time 50."""
    job = QueuedJob("j", tenant, demand, 50.0, 100.0, **more)  # type: ignore[arg-type]
    return [(objection.field, objection.code) for objection in objections(job, BOARD, 50.0)]


def test_what_waiting_can_mend_is_queued() -> None:
    """A drained centre and a quota that is in use are no objections; a deadline exactly at the limit is met."""
    assert ask(resources(4, 10), deadline_at=150.0) == []


def test_everything_that_can_never_be_is_said_at_once() -> None:
    """Quota, size and deadline together; an unknown tenant or centre by itself."""
    assert ask(resources(9, 10), deadline_at=149.0) == [
        ("resources", "quota_never"),
        ("resources", "never_fits"),
        ("deadline", "deadline"),
    ]
    assert ask(resources(1, 1001), tenant="u") == [("resources", "never_fits")]
    assert ask(resources(1, 0), tenant="x") == [("tenant", "tenant_unknown")]
    assert ask(resources(1, 0), centres=("x",)) == [("centre", "centre_unknown")]
    assert ask(resources(1, 0), deadline_at=200.0, not_before_at=101.0) == [("deadline", "deadline")]


def late(limit_s: float, deadline_at: float, *, cores: int = 6, gang: int = 1) -> list[tuple[str, str]]:
    """Objections at time 50 on two nodes of eight cores: five run until 300 on one, seven until 500 on the other."""
    nodes = tuple(Node(f"n{number}", "c", resources(8, 0)) for number in range(2))
    runs = (
        RunningJob("r0", "t", resources(5, 0), "n0", 0.0, 300.0),
        RunningJob("r1", "t", resources(7, 0), "n1", 0.0, 500.0),
    )
    board = Board(Snapshot((Centre("c", "淄博"),), nodes, (Tenant("t"),), running=runs))
    job = QueuedJob("j", "t", resources(cores, 0), 50.0, limit_s, deadline_at=deadline_at, gang=gang)
    before = board.snapshot()
    found = [(objection.field, objection.code) for objection in objections(job, board, 50.0)]
    assert board.snapshot() == before
    return found


def test_a_deadline_is_tried_against_what_runs() -> None:
    """Six cores are free at 300: 100 s end at 400 and no earlier. Three are free now. Two times six need both nodes."""
    assert late(100.0, 400.0) == []
    assert late(100.0, 399.0) == [("deadline", "deadline_profile")]
    assert late(100.0, 150.0, cores=3) == []
    assert late(100.0, 600.0, gang=2) == []
    assert late(100.0, 599.0, gang=2) == [("deadline", "deadline_profile")]
    assert late(100.0, 149.0, cores=3) == [("deadline", "deadline")]
