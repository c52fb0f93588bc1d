"""What Prometheus is told of the plan: who waits and why, what is held, how many started."""

from __future__ import annotations

from pathlib import Path

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot, Tenant
from compute_scheduler.service.metrics import PlanMetrics
from prometheus_client import CollectorRegistry

from tests.compute_scheduler.clusters import until
from tests.compute_scheduler.yard import Yard

NOW = 1000.0


def test_a_board_is_told_by_reason_centre_and_cores() -> None:
    """Two wait, one without a reason yet; of eight cores three are held; a drained centre is closed and offers none."""
    registry = CollectorRegistry()
    told = PlanMetrics(registry)
    jobs = (
        QueuedJob("a", "t", resources(2, 10), NOW - 60.0, 60.0),
        QueuedJob("b", "t", resources(2, 10), NOW - 5.0, 60.0),
    )
    nodes = (
        Node("c/n", "c", resources(8, 100)),
        Node("d/n", "d", resources(4, 100), "drained"),
    )
    run = RunningJob("r", "t", resources(3, 10), "c/n", NOW - 9.0, NOW + 9.0)
    centres = (Centre("c", "C"), Centre("d", "D", "drained"))
    board = Board(Snapshot(centres, nodes, (Tenant("t"),), jobs, (run,)), Policy())

    told.see(board, {"a": ("quota", "配额不足")}, NOW)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"brain_compute_{name}", labels)

    assert (value("jobs_waiting", reason="quota"), value("jobs_waiting", reason="queued")) == (1, 1)
    assert value("oldest_wait_seconds") == 60.0
    assert (value("cores", centre="c", of="offered"), value("cores", centre="c", of="held")) == (8, 3)
    assert value("cores", centre="d", of="offered") is None
    assert (value("centre_open", centre="c"), value("centre_open", centre="d")) == (1, 0)
    assert (value("jobs_running", centre="c"), value("jobs_running", centre="d")) == (1, 0)
    told.see(Board(Snapshot(), Policy()), {}, NOW)
    assert (value("jobs_waiting", reason="quota"), value("oldest_wait_seconds")) == (None, 0)
    assert value("centre_open", centre="c") is None


def test_the_service_tells_what_it_plans(tmp_path: Path) -> None:
    """A job that ran counts as started, one that waits for another is told by its reason, plans are timed."""
    yard = Yard(tmp_path, log_level="ERROR")
    try:
        registry = yard.runtimes[-1].app.state.metrics.registry
        first = yard.submit("sleep", "5")
        yard.submit("true", after=[first])
        waiting = {"reason": "dependency"}
        until(lambda: registry.get_sample_value("brain_compute_jobs_waiting", waiting), lambda seen: seen == 1)
        assert registry.get_sample_value("brain_compute_starts_total") >= 1
        assert registry.get_sample_value("brain_compute_plan_seconds_count") >= 1
        until(
            lambda: registry.get_sample_value("brain_compute_jobs_running", {"centre": "local"}),
            lambda seen: seen == 1,
        )
        yard.json("POST", f"/v1/jobs/{first}/cancel")
        until(lambda: registry.get_sample_value("brain_compute_jobs_waiting", waiting), lambda seen: not seen)
    finally:
        yard.close()
