"""Running jobs that make way: who, for whom, how many, how often."""

from __future__ import annotations

from collections import Counter

from compute_scheduler.domain.board import CLASSES, Board
from compute_scheduler.domain.plan import plan, plan_board
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot, Tenant
from hypothesis import given, settings

from tests.compute_scheduler.unit.networks import NOW, networks, policies

HOUR = 3600.0
POLICY = Policy(fair_share_s=0.0, preemptions=4, preempt_after_s=60.0)
CENTRES, TENANTS = (Centre("c", "淄博"),), (Tenant("t"), Tenant("u"))


def runs(name: str, cores: int, began: float, node: str = "n0", **more: object) -> RunningJob:
    """A job of low priority with hours left."""
    known = {"priority": "low"} | more
    return RunningJob(name, "t", resources(cores, 0), node, began, NOW + 5 * HOUR, **known)  # type: ignore[arg-type]


def victims(*running: RunningJob, cores: int = 4, nodes: int = 1, policy: Policy = POLICY, **more: object) -> list[str]:
    """What makes way for a job of high priority on nodes of eight cores."""
    known = {"priority": "high"} | more
    asks = QueuedJob("q", "u", resources(cores, 0), NOW, HOUR, **known)  # type: ignore[arg-type]
    places = tuple(Node(f"n{number}", "c", resources(8, 0)) for number in range(nodes))
    return [item.job_id for item in plan(Snapshot(CENTRES, places, TENANTS, (asks,), running), NOW, policy).preemptions]


def test_the_least_work_is_lost() -> None:
    """Of two jobs of four cores the one that began 100 s ago goes, not the one of 1,000 s; on two nodes likewise."""
    old, young = runs("old", 4, NOW - 1000), runs("young", 4, NOW - 100)
    assert victims(old, young) == ["young"]
    assert victims(runs("x", 8, NOW - 300), runs("y", 8, NOW - 200, "n1"), nodes=2) == ["y"]


def test_work_that_was_saved_is_not_lost() -> None:
    """1,000 s with a checkpoint each 300 s lose 100 s, which is less than 200 s."""
    assert victims(runs("saves", 4, NOW - 1000, checkpoint_every_s=300.0), runs("other", 4, NOW - 200)) == ["saves"]


def test_no_more_go_than_are_needed() -> None:
    """Two of two cores lose less than one of four. Of two and six for six, the six alone are enough: the two stay."""
    small = [runs(f"s{n}", 2, NOW - 10 - n) for n in range(2)]
    assert sorted(victims(*small, runs("large", 4, NOW - 900))) == ["s0", "s1"]
    assert victims(runs("s", 2, NOW - 10), runs("large", 6, NOW - 20), cores=6) == ["large"]


def test_who_never_makes_way() -> None:
    """The like or higher in class, gangs, those that did twice, those being stopped; and nobody when it is off."""
    assert victims(runs("r", 8, NOW - 10)) == ["r"]
    assert victims(runs("r", 8, NOW - 10, priority="high")) == []
    assert victims(runs("r", 4, NOW - 10, more=("n0",))) == []
    assert victims(runs("r", 8, NOW - 10, preemptions=2)) == []
    assert victims(RunningJob("r", "t", resources(8, 0), "n0", NOW - 10, NOW - 1, (), "low")) == []
    assert victims(runs("r", 8, NOW - 10), policy=Policy()) == []


def test_a_start_that_is_near_is_waited_for() -> None:
    """Room in 60 s is soon enough, in 61 it is not."""
    for left, expected in ((60.0, []), (61.0, ["r"])):
        running = RunningJob("r", "t", resources(8, 0), "n0", NOW - 10, NOW + left, (), "low")
        assert victims(running) == expected


def test_no_more_make_way_in_one_plan_than_the_policy_says() -> None:
    """Four jobs of two cores would have to go for eight: allowed with four, nothing happens with three."""
    running = [runs(f"r{n}", 2, NOW - 10 - n) for n in range(4)]
    assert sorted(victims(*running, cores=8)) == ["r0", "r1", "r2", "r3"]
    assert victims(*running, cores=8, policy=Policy(preemptions=3, preempt_after_s=60.0)) == []


def test_a_gang_pushes_nobody_away() -> None:
    """Neither side of a preemption is a gang."""
    assert victims(runs("r", 8, NOW - 10), cores=2, gang=2) == []


@settings(max_examples=150, deadline=None)
@given(networks, policies)
def test_what_makes_way_is_bounded_and_of_a_lower_class(snapshot: Snapshot, policy: Policy) -> None:
    """In any network: at most so many in a plan, each alive, single, lower than the one it goes for, not too often."""
    decisions = plan(snapshot, NOW, policy)
    running, queued = {job.id: job for job in snapshot.running}, {job.id: job for job in snapshot.queued}

    assert len(decisions.preemptions) <= policy.preemptions
    for item in decisions.preemptions:
        victim, by = running[item.job_id], queued[item.by]
        assert CLASSES[victim.priority] < CLASSES[by.priority]
        assert not victim.more
        assert victim.preemptions < policy.preemptions_per_job
        assert victim.ends_by_at > NOW
        assert by.id not in {start.job_id for start in decisions.starts}


def test_a_storm_of_urgent_jobs_stops_no_job_for_ever() -> None:
    """A high job a minute for ten hours on one node: no low job makes way more than twice, and each comes to its end.

    Each job runs its limit: high ones 30 s, so half of the time is left; the five low ones 20 min.
    """
    policy = Policy(fair_share_s=0.0, priority_s=7200.0, preemptions=1, preempt_after_s=10.0)
    board = Board(Snapshot(CENTRES, (Node("n0", "c", resources(8, 0)),), TENANTS), policy)
    made_way: Counter[str] = Counter()
    ended: set[str] = set()
    for number in range(5):
        board.submit(QueuedJob(f"low{number}", "t", resources(8, 0), 0.0, 1200.0, "low"))
    for now in [float(second) for second in range(0, 36_000, 10)]:
        for job in [job for job in board.running.values() if job.ends_by_at <= now]:
            ended.add(board.end(job.id).id)
        if now % 60 == 0:
            board.submit(QueuedJob(f"high{now:08.0f}", "u", resources(8, 0), now, 30.0, "high"))
        decisions = plan_board(board, now, policy)
        for item in decisions.preemptions:
            job = board.end(item.job_id)
            made_way[job.id] += 1
            board.submit(
                QueuedJob(job.id, job.tenant, job.demand, 0.0, 1200.0, job.priority, preemptions=made_way[job.id])
            )
        for start in decisions.starts:
            board.start(start.job_id, start.node, now)

    assert made_way
    assert max(made_way.values()) <= 2
    assert {f"low{number}" for number in range(5)} <= ended
