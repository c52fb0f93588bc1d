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
