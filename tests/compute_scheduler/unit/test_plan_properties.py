"""What holds for every plan: properties over random small networks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest
from compute_scheduler.domain import placement
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Decisions
from compute_scheduler.domain.plan import plan, plan_board
from compute_scheduler.domain.quota import QuotaTrees
from compute_scheduler.domain.resources import resources
from compute_scheduler.domain.snapshot import Centre, Node, Policy, QueuedJob, RunningJob, Snapshot, Tenant
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compute_scheduler.unit.networks import (
    NOW,
    capacities,
    networks,
    policies,
    queued_jobs,
    reserved_networks,
    shared_networks,
    unlike_centres,
    weighing,
    windows_of,
)
from tests.compute_scheduler.unit.simple_devices import on
from tests.compute_scheduler.unit.simple_plan import Simple, amounts, simple_plan

many = settings(max_examples=300, deadline=None)
some = settings(max_examples=150, deadline=None)


def after(snapshot: Snapshot, decisions: Decisions) -> Snapshot:
    """The network once the starts were made."""
    nodes = {start.job_id: start for start in decisions.starts}
    known = {node.id: node for node in snapshot.nodes}
    started = tuple(
        RunningJob(
            job.id,
            job.tenant,
            on(job.demand, known[nodes[job.id].node], job.gang),
            nodes[job.id].node,
            NOW,
            NOW + job.time_limit_s,
            nodes[job.id].more,
        )
        for job in snapshot.queued
        if job.id in nodes
    )
    left = tuple(job for job in snapshot.queued if job.id not in nodes)
    return Snapshot(
        snapshot.centres,
        snapshot.nodes,
        snapshot.tenants,
        left,
        (*snapshot.running, *started),
        snapshot.usages,
        snapshot.outcomes,
    )


@many
@given(
    st.one_of(
        st.tuples(networks, policies),
        st.tuples(unlike_centres(), weighing),
        st.tuples(reserved_networks(), st.one_of(policies, weighing)),
    )
)
def test_the_plan_is_what_its_specification_says(told: tuple[Snapshot, Policy]) -> None:
    """The same starts in the same order on the same nodes, the same reasons, costs, refusals and reservations.

    What rule 6 has answered already keeps its answer when the plan has made its most starts.
    """
    snapshot, policy = told
    ours, simple = plan(snapshot, NOW, policy), simple_plan(snapshot, NOW, policy)

    assert [(start.job_id, start.nodes) for start in ours.starts] == simple.starts
    jobs, network = {job.id: job for job in snapshot.queued}, Simple(snapshot, NOW, policy)
    weighed = [[start.site, *start.others] for start in ours.starts if network.matters(jobs[start.job_id])]
    assert [[astuple(site) for site in sites] for sites in weighed] == [
        [pytest.approx(cost) for cost in sites] for sites in simple.sites
    ]
    assert {refusal.job_id for refusal in ours.refusals} == simple.refused
    answers = {job_id: (reason.code, reason.resource) for job_id, reason in ours.waits()}
    given = {
        why for why in simple.waits.values() if why[0] not in ("not_before", "data_stays", "dependency", "resources")
    }
    cut = {job_id for job_id, why in simple.waits.items() if why[0] == "cycle_limit" and answers[job_id] in given}
    assert answers == simple.waits | {job_id: answers[job_id] for job_id in cut}
    assert [(kept.job_id, kept.node, kept.start_at, kept.end_at) for kept in ours.reservations] == simple.reservations
    assert {item.job_id: item.by for item in ours.preemptions} == simple.preemptions


@some
@given(shared_networks(), st.sampled_from([1, 2, 16]), st.sampled_from([0, 1]))
def test_parts_of_accelerators_go_where_the_specification_says(snapshot: Snapshot, most: int, reserved: int) -> None:
    """However few nodes the placement looks at: the same nodes, and the same devices, as those show in what fits."""
    policy = Policy(reservations=reserved)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "CANDIDATES", most)
        ours, simple = plan(snapshot, NOW, policy), simple_plan(snapshot, NOW, policy)

    assert [(start.job_id, start.nodes) for start in ours.starts] == simple.starts
    assert {job_id: (reason.code, reason.resource) for job_id, reason in ours.waits()} == simple.waits


@some
@given(networks, policies)
def test_forgetting_empty_buckets_changes_nothing(snapshot: Snapshot, policy: Policy) -> None:
    """Kept or forgotten at once, the sets of nodes with the same free accelerators give the same plan."""
    kept = plan(snapshot, NOW, policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "SPARE_BUCKETS", 0)

        assert plan(snapshot, NOW, policy) == kept


def test_a_centre_seen_as_one_node_with_many_accelerators_is_searched_quickly() -> None:
    """Two thousand cards given out one by one leave at most a few dozen sets of nodes to look at."""
    node = Node("n", "c", resources(0, 0, {"a": 2000}))
    board = Board(Snapshot((Centre("c", "c"),), (node,), (Tenant("t"),)))
    for number in range(2000):
        board.submit(QueuedJob(f"q{number:04}", "t", resources(0, 0, {"a": 1}), float(number), 60.0))
    decisions = plan_board(board, NOW, Policy())

    assert len(decisions.starts) == 2000
    assert len(board.index._buckets) <= placement.SPARE_BUCKETS + 1


@some
@given(reserved_networks(), policies)
def test_nothing_starts_where_it_would_run_into_a_window_of_others(snapshot: Snapshot, policy: Policy) -> None:
    """Of nodes kept as a whole, whatever else is so; jobs that a window is for may."""
    jobs = {job.id: job for job in snapshot.queued}
    for start in plan(snapshot, NOW, policy).starts:
        job = jobs[start.job_id]
        for window in snapshot.windows:
            whole = {name for name, part in window.nodes if part is None}
            inside = window.centre == start.centre and (not window.nodes or bool(whole & set(start.nodes)))
            is_ahead = window.start_at < NOW + job.time_limit_s and window.end_at > NOW
            assert not (inside and is_ahead) or window.is_for(job.tenant, job.priority)


@some
@given(st.one_of(networks, reserved_networks()), policies)
def test_every_job_gets_exactly_one_answer(snapshot: Snapshot, policy: Policy) -> None:
    """Started, waiting with a sentence, or refused."""
    decisions = plan(snapshot, NOW, policy)
    answered = [start.job_id for start in decisions.starts]
    answered += [job_id for job_id, _ in decisions.waits()] + [refusal.job_id for refusal in decisions.refusals]

    assert sorted(answered) == sorted(job.id for job in snapshot.queued)
    assert all(len(reason.words) > 5 for _, reason in decisions.waits())


@some
@given(st.one_of(networks, reserved_networks()), policies)
def test_no_node_is_ever_overfull(snapshot: Snapshot, policy: Policy) -> None:
    """Running jobs and starts together fit on each node; starts go to open nodes where the job may run."""
    decisions = plan(snapshot, NOW, policy)
    state = after(snapshot, decisions)
    jobs = {job.id: job for job in snapshot.queued}
    nodes = {node.id: node for node in snapshot.nodes}
    centres = {centre.id: centre for centre in snapshot.centres}

    for node in snapshot.nodes:
        free = amounts(node.capacity)
        for held, at in [(item, at) for item in state.running for at in item.nodes]:
            if at == node.id:
                for name, amount in amounts(held.demand).items():
                    free[name] = free.get(name, 0) - amount
        assert min(free.values(), default=0) >= 0
    for start in decisions.starts:
        assert {nodes[node].state for node in start.nodes} == {"up"}
        assert centres[start.centre].state == "open"
        assert {nodes[node].centre for node in start.nodes} == {start.centre}
        assert len(start.nodes) == jobs[start.job_id].gang
        assert not jobs[start.job_id].centres or start.centre in jobs[start.job_id].centres


@some
@given(shared_networks(), policies)
def test_no_device_is_given_twice(snapshot: Snapshot, policy: Policy) -> None:
    """Parts of one device never make more than it; devices that are shared and whole ones never more than there are.

    Counted anew from what runs after the starts, where what ran before fits.
    """
    before = Board(snapshot, policy)
    if not fits_on_devices(before):
        return
    board = Board(snapshot, policy)
    for start in plan_board(board, NOW, policy).starts:
        board.start(start.job_id, start.node, NOW, start.more)

    assert fits_on_devices(board)


def fits_on_devices(board: Board) -> bool:
    """Whether what runs fits on the devices that it names."""
    for node in board.index.nodes:
        whole: dict[str, int] = {}
        parts: dict[tuple[str, int | None], int] = {}
        for job in board.running.values():
            for number, at in enumerate(job.nodes):
                for kind, devices in job.demand.accelerators if at == node.id else ():
                    if job.demand.share:
                        part = (kind, job.devices[number])
                        parts[part] = parts.get(part, 0) + job.demand.share
                    else:
                        whole[kind] = whole.get(kind, 0) + devices
        for kind in {*whole, *[kind for kind, _ in parts]}:
            shared = [kind for name, _ in parts if name == kind]
            if whole.get(kind, 0) + len(shared) > dict(node.capacity.accelerators).get(kind, 0):
                return False
        if max(parts.values(), default=0) > 1000:
            return False
    return True


@some
@given(networks, policies)
def test_no_quota_is_exceeded_by_a_start(snapshot: Snapshot, policy: Policy) -> None:
    """Each start, in the order given, fits into what its tenant may still take."""
    trees = QuotaTrees(snapshot.tenants)
    for job in snapshot.running:
        for _ in job.nodes:
            trees.add(job.tenant, amounts(job.demand).items(), 1)
    jobs = {job.id: job for job in snapshot.queued}
    nodes = {node.id: node for node in snapshot.nodes}

    for start in plan(snapshot, NOW, policy).starts:
        job = jobs[start.job_id]
        held = amounts(on(job.demand, nodes[start.node], job.gang))
        all_of_it = {name: amount * job.gang for name, amount in held.items()}
        assert trees.shortage(job.tenant, all_of_it.items()) is None
        trees.add(job.tenant, all_of_it.items(), 1)


@many
@given(networks, policies)
def test_a_reserved_job_is_never_delayed_by_what_starts_before_it(snapshot: Snapshot, policy: Policy) -> None:
    """After the starts, the first reserved job alone in the queue still gets a start no later than it was promised.

    Those started before it in the order are on the board in both cases; those after it were backfilled.
    """
    decisions = plan(snapshot, NOW, policy)
    for kept in decisions.reservations[:1]:
        state = after(snapshot, decisions)
        alone = Snapshot(
            state.centres,
            state.nodes,
            tuple(Tenant(tenant.id) for tenant in state.tenants),
            tuple(job for job in state.queued if job.id == kept.job_id),
            state.running,
            outcomes=state.outcomes,
        )
        again = plan(alone, NOW, Policy())

        assert not again.starts or kept.start_at == NOW
        assert all(new.start_at <= kept.start_at for new in again.reservations)


@some
@given(st.one_of(networks, reserved_networks()), policies, st.randoms(use_true_random=False))
def test_the_order_of_the_parts_has_no_meaning(snapshot: Snapshot, policy: Policy, rng: random.Random) -> None:
    """The same network told in another order gives the same decisions, and a repeated plan repeats itself."""

    def shuffled(part: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(rng.sample(part, len(part)))

    told = Snapshot(
        shuffled(snapshot.centres),
        shuffled(snapshot.nodes),
        shuffled(snapshot.tenants),
        shuffled(snapshot.queued),
        shuffled(snapshot.running),
        shuffled(snapshot.usages),
        snapshot.outcomes,
        popular=shuffled(snapshot.popular),
        windows=shuffled(snapshot.windows),
    )

    assert plan(told, NOW, policy) == plan(snapshot, NOW, policy) == plan(snapshot, NOW, policy)


def change(board: Board, now: float, draw: Callable[..., Any]) -> None:
    """One random change of what stands or runs."""
    kinds = ["submit", "withdraw", "start all", "end", "end", "node", "centre", "tenant", "windows"]
    what = draw(st.sampled_from(kinds))
    job = draw(queued_jobs(draw(st.integers(0, 20))))
    if what == "submit" and job.id not in board.running:
        board.submit(job)
    elif what == "withdraw" and board.queued:
        board.withdraw(draw(st.sampled_from(sorted(board.queued))))
    elif what == "start all":
        for start in plan_board(board, now, board.policy).starts:
            board.start(start.job_id, start.node, now, start.more)
    elif what == "end" and board.running:
        board.end(draw(st.sampled_from(sorted(board.running))))
    elif what == "windows":
        board.put_windows(draw(st.one_of(st.just(()), windows_of(board.snapshot()))))
    else:
        change_network(board, what, draw)


def change_network(board: Board, what: str, draw: Callable[..., Any]) -> None:
    """One random change of a node, centre or tenant."""
    if what == "node" and board.index.nodes:
        node = draw(st.sampled_from(board.index.nodes))
        board.put_nodes([Node(node.id, node.centre, draw(capacities()), draw(st.sampled_from(["up", "down"])))])
    elif what == "centre" and board.centres:
        centre = draw(st.sampled_from([*board.centres.values()]))
        board.put_centre(Centre(centre.id, centre.name, draw(st.sampled_from(["open", "lost"]))))
    elif what == "tenant" and board.tenants:
        board.put_tenant(Tenant(draw(st.sampled_from([*board.tenants])), weight=2.0))


@settings(max_examples=300, deadline=None)
@given(st.one_of(networks, reserved_networks()), policies, st.data())
def test_a_board_that_is_kept_plans_like_a_new_one(snapshot: Snapshot, policy: Policy, data: st.DataObject) -> None:
    """After any changes job by job, with plans in between, as if the whole moment were built anew."""
    board = Board(snapshot, Policy(priority_s=7.0))
    for number in range(data.draw(st.integers(1, 6))):
        now = NOW + 10.0 * number
        change(board, now, data.draw)

        assert plan_board(board, now, policy) == plan(board.snapshot(), now, policy)
