"""The plan: which queued jobs start where now, and why the others wait.

Specification (`tests/compute_scheduler/unit/simple_plan.py` is this text as code, without any shortcut):

1. A job whose time limit from now, or from when it may start, passes its deadline is refused. A job that may not start
   yet waits (`not_before`).
2. Of the jobs not yet decided take the one with the least
   `submitted_at - priority_s * class + min(short_first * time_limit_s, longest_set_back_s) + fair_share_s * share`,
   then the least id. The share is the tenant's dominant share over decayed usage and what it holds, with the starts of
   this plan.
3. It waits if its tenant is unknown, no open node could ever hold it, or its tenant's quota does not suffice.
4. Else it starts on the node of best fit (`placement.py`) where it delays no reserved start (`timeline.py`). If the
   policy weighs sites, that is asked centre by centre in order of score (`siting.py`), and the job waits instead if a
   centre passed over, in which no node has room now, is better: its score plus `wait_weight` times the seconds until
   running jobs leave room there is less, the job will then have waited at most `longest_hold_s`, its deadline holds.
5. Else it waits. If fewer than `reservations` jobs of its kind have a reserved start, it gets the earliest one.
   Without backfill nothing of its kind starts any more.
6. A job waits for the reason of an earlier one without looking further when that one was of the same tenant and shape
   and met step 3, or when it was of the same shape and at most the same time limit, found no node, and there is no
   reservation left for their kind. Nothing could have changed for the better: within a plan quotas and nodes only fill.
7. When `most_starts` have been made, all that is not answered by then waits for the next plan.

So a reserved job is never delayed by what is started before it, and waiting lifts every job: of two jobs, one submitted
more than `2 * priority_s + longest_set_back_s + fair_share_s * share` later than the other never comes before it.

Shortcuts, each without effect on the plan:
- Only the first job of each group (tenant and shape) is looked at; its group is in order of the static part of step 2.
- A tenant's share is the same for all its jobs, so tenants merge their groups by the static part alone, and one heap of
  tenants merges these by the whole. A start changes one tenant's key only.
- By rule 6 a group is dropped as a whole.
- What can be said of a group or shape without looking at the moment (its ids, its size) is kept on the board.
- Starts are noted on the board itself and taken back at the end, so nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace, merge

from compute_scheduler.domain import reasons
from compute_scheduler.domain.board import Board, Group
from compute_scheduler.domain.decisions import Decisions, Reason, Refusal, Reservation, Site, Start, Waiting
from compute_scheduler.domain.fairshare import dominant_share, mean_past
from compute_scheduler.domain.placement import STEPS, Lacking
from compute_scheduler.domain.quota import units
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.siting import Siting
from compute_scheduler.domain.snapshot import Policy, QueuedJob, Snapshot
from compute_scheduler.domain.timeline import End, Reserved, Timeline


def plan(snapshot: Snapshot, now: float, policy: Policy) -> Decisions:
    """Decides what starts now and why the rest waits; the same arguments always give the same decisions.

    now: seconds since 1970-01-01 UTC. Odd data (unknown centre, tenant or node) makes jobs wait with a reason.
    """
    return plan_board(Board(snapshot, policy), now, policy)


def plan_board(board: Board, now: float, policy: Policy) -> Decisions:
    """The same for a board that is kept between plans; the board is left as it was."""
    board.follow(policy)
    cycle = _Cycle(board, now, policy)
    try:
        cycle.run()
    finally:
        cycle.take_back()
    return cycle.decisions()


class _Group:
    """Jobs of one tenant and shape in order, and how far they are decided."""

    __slots__ = ("at", "entries", "jobs", "shape")

    def __init__(self, shape: Shape, jobs: Group) -> None:
        self.shape, self.jobs, self.entries, self.at = shape, jobs, jobs.entries, 0


class _Lane:
    """A tenant's groups, the one with the next job on top, and its share."""

    __slots__ = ("heap", "past", "share", "tenant", "weight")

    def __init__(self, tenant: str, weight: float, past: dict[str, float]) -> None:
        self.tenant, self.weight, self.past = tenant, weight, past
        self.heap: list[tuple[float, str, _Group]] = []
        self.share = 0.0


class _Cycle:
    """One run over the queue."""

    def __init__(self, board: Board, now: float, policy: Policy) -> None:
        self.board, self.now, self.policy = board, now, policy
        self.timeline = Timeline()
        self.siting = Siting(board.centres, policy, now)
        self.started: list[tuple[QueuedJob, Shape, int]] = []
        self.sites: list[tuple[Site | None, tuple[Site, ...]]] = []
        self.refusals: list[Refusal] = []
        self.waiting: dict[Reason, list[tuple[str, ...]]] = {}
        self.aside: set[str] = set()
        # Shape to the least time limit that found no node, and why.
        self.failed: dict[Shape, tuple[float, Lacking, Reason]] = {}
        self.kept: dict[object, int] = {}
        self.blocked: set[object] = set()

    def run(self) -> None:
        """Decides every job."""
        self._set_aside()
        lanes = [(self._key(lane), lane.heap[0][1], lane) for lane in self._lanes()]
        heapify(lanes)
        most = self.policy.most_starts
        while lanes:
            if most is not None and len(self.started) >= most:
                break
            lane = lanes[0][2]
            self._step(lane)
            if lane.heap:
                heapreplace(lanes, (self._key(lane), lane.heap[0][1], lane))
            else:
                heappop(lanes)
        for _, _, lane in sorted(lanes, key=lambda item: item[:2]):
            for _, _, group in sorted(lane.heap, key=lambda item: item[:2]):
                self._wait(reasons.CYCLE_LIMIT, group)

    def decisions(self) -> Decisions:
        """What was decided."""
        nodes = self.board.index.nodes
        return Decisions(
            tuple(
                Start(job.id, nodes[place].id, nodes[place].centre, *sites)
                for (job, _, place), sites in zip(self.started, self.sites, strict=True)
            ),
            tuple(Waiting(reason, tuple(parts)) for reason, parts in self.waiting.items()),
            tuple(self.refusals),
            tuple(
                Reservation(kept.job_id, nodes[kept.place].id, nodes[kept.place].centre, kept.start_at, kept.end_at)
                for kept in self.timeline.reserved
            ),
        )

    def take_back(self) -> None:
        """Leaves the board as it was."""
        for job, shape, place in reversed(self.started):
            self.board.index.change(place, shape, 1)
            self.board.count(job.tenant, shape, -1)

    def _set_aside(self) -> None:
        """Step 1, for the jobs that name a time."""
        for job in sorted(self.board.timed.values(), key=lambda job: job.id):
            earliest = max(self.now, job.not_before_at or self.now)
            if job.deadline_at is not None and earliest + job.time_limit_s > job.deadline_at:
                self.refusals.append(Refusal(job.id, reasons.deadline()))
                self.aside.add(job.id)
            elif earliest > self.now:
                self._note(reasons.NOT_BEFORE, (job.id,))
                self.aside.add(job.id)

    def _lanes(self) -> Iterable[_Lane]:
        """Tenants that have jobs to decide."""
        lanes: dict[str, _Lane] = {}
        for (tenant, shape), jobs in self.board.groups.items():
            lane = lanes.get(tenant)
            if lane is None:
                known, usage = self.board.tenants.get(tenant), self.board.usages.get(tenant)
                past = mean_past(usage, self.now, self.policy.half_life_s) if usage else {}
                past = {name: float(units(name, 1.0)) * amount for name, amount in past.items()}
                lane = lanes[tenant] = _Lane(tenant, known.weight if known else 1.0, past)
                self._share(lane)
            group = _Group(shape, jobs)
            if self._skip_aside(group):
                entry = group.entries[group.at]
                lane.heap.append((entry[0], entry[1], group))
        for lane in lanes.values():
            heapify(lane.heap)
        return [lane for lane in lanes.values() if lane.heap]

    def _key(self, lane: _Lane) -> float:
        """The whole of step 2 for the lane's next job."""
        return lane.heap[0][0] + self.policy.fair_share_s * lane.share

    def _share(self, lane: _Lane) -> None:
        held = self.board.held.get(lane.tenant, {})
        lane.share = dominant_share(lane.past, held, self.board.total, lane.weight)

    def _step(self, lane: _Lane) -> None:
        """Decides the lane's next job, or all that is left of its group."""
        group = lane.heap[0][2]
        job = group.entries[group.at][2]
        reason, is_for_all = self._decide(job, group.shape)
        if is_for_all and reason is not None:
            self._wait(reason, group)
            heappop(lane.heap)
            return
        if reason is None:
            self._share(lane)
        else:
            self._note(reason, (job.id,))
        group.at += 1
        self._pass_over_alike(group)
        if self._skip_aside(group):
            heapreplace(lane.heap, (*group.entries[group.at][:2], group))
        else:
            heappop(lane.heap)

    def _decide(self, job: QueuedJob, shape: Shape) -> tuple[Reason | None, bool]:
        """Starts the job (None), or gives its reason and whether it holds for the whole rest of its group."""
        failed = self.failed.get(shape)
        has_failed = failed is not None and job.time_limit_s >= failed[0]
        if failed is not None and has_failed and not self._has_room(shape):
            return failed[2], not failed[0]
        reason = self._hold(job, shape)
        if reason is not None:
            return reason, True
        if not self.policy.backfill and shape.kind in self.blocked:
            return reasons.in_line(), True
        if failed is not None and has_failed:
            return self._reserve(job, shape, failed[1]) or failed[2], False
        if self.policy.weighs_sites:
            return self._weigh(job, shape), False
        place, lacking, blocker = self._place(job, shape)
        if place is None:
            return self._block(job, shape, lacking, blocker), False
        self._start(job, shape, place, self.siting.told(job, shape, self.board.index.nodes[place].centre))
        return None, False

    def _weigh(self, job: QueuedJob, shape: Shape) -> Reason | None:
        """Step 4 when the policy weighs sites."""
        worst: Lacking = "accelerators"
        first: Reserved | None = None
        full: list[Site] = []
        sites = self.siting.ranked(job, shape)
        for site in sites:
            place, lacking, blocker = self._place(job, shape, site.centre)
            if place is not None:
                reason = self.siting.better(job, shape, full, site, self.board.index, self._ends)
                if reason is None:
                    self._start(job, shape, place, site, tuple(other for other in sites if other is not site))
                return reason
            worst = max(worst, lacking, key=lambda step: STEPS[step])
            if blocker is not None and (first is None or blocker.order < first.order):
                first = blocker
            if lacking != "reserved":
                full.append(site)
        return self._block(job, shape, worst, first)

    def _hold(self, job: QueuedJob, shape: Shape) -> Reason | None:
        """Step 3."""
        if not self.board.quotas.knows(job.tenant):
            return reasons.tenant_unknown(job.tenant)
        reason = self.board.hold(shape)
        if reason is None:
            short = self.board.quotas.shortage(job.tenant, shape.amounts)
            reason = None if short is None else reasons.quota(job.tenant, short)
        return reason

    def _place(
        self, job: QueuedJob, shape: Shape, centre: str | None = None
    ) -> tuple[int | None, Lacking, Reserved | None]:
        """Step 4: the node, what was lacking, and the earliest reservation that kept a node from it."""
        if not self.timeline.reserved:
            return *self.board.index.best(shape, None, centre), None
        blockers: list[Reserved] = []
        ends_by_at = self.now + job.time_limit_s

        def is_allowed(place: int) -> bool:
            blocker = self.timeline.blocker(place, shape.amounts, ends_by_at)
            if blocker is not None:
                blockers.append(blocker)
            return blocker is None

        place, lacking = self.board.index.best(shape, is_allowed, centre)
        return place, lacking, min(blockers, key=lambda kept: kept.order, default=None)

    def _start(
        self, job: QueuedJob, shape: Shape, place: int, site: Site | None, others: tuple[Site, ...] = ()
    ) -> None:
        self.board.index.change(place, shape, -1)
        self.board.count(job.tenant, shape, 1)
        self.timeline.start(place, shape.amounts, self.now + job.time_limit_s)
        self.started.append((job, shape, place))
        self.sites.append((site, others))
        self.siting.forget_waits()

    def _block(self, job: QueuedJob, shape: Shape, lacking: Lacking, blocker: Reserved | None) -> Reason:
        """Step 5."""
        if blocker is None:
            self.failed[shape] = (0.0, lacking, reasons.no_room(shape, lacking))
        else:
            self.failed[shape] = (job.time_limit_s, lacking, reasons.reserved(blocker.job_id))
        self.blocked.add(shape.kind)
        return self._reserve(job, shape, lacking) or self.failed[shape][2]

    def _reserve(self, job: QueuedJob, shape: Shape, lacking: Lacking) -> Reason | None:
        if not self._has_room(shape):
            return None
        kept = self.timeline.reserve(job.id, shape, job.time_limit_s, self.now, self.board.index, self._ends())
        if kept is None:
            return None
        self.kept[shape.kind] = self.kept.get(shape.kind, 0) + 1
        is_late = job.deadline_at is not None and kept.end_at > job.deadline_at
        node = self.board.index.nodes[kept.place].id
        return reasons.resources(shape, lacking, node, kept.start_at, is_late)

    def _has_room(self, shape: Shape) -> bool:
        """Whether a job of this kind may still get a reserved start."""
        return self.kept.get(shape.kind, 0) < self.policy.reservations

    def _ends(self) -> Iterable[End]:
        """Ends of all that runs, with the starts of this plan, in order."""
        new = sorted(
            ((self.now + job.time_limit_s, place, job.id, shape) for job, shape, place in self.started),
            key=lambda end: end[:3],
        )
        return merge(self.board.ends, new, key=lambda end: end[:3]) if new else self.board.ends

    def _pass_over_alike(self, group: _Group) -> None:
        """Rule 6 for the jobs next in the group, when a shorter time limit further on may still find a node."""
        failed = self.failed.get(group.shape)
        if failed is None or not failed[0] or self._has_room(group.shape):
            return
        entries, at = group.entries, group.at
        while at < len(entries) and (entries[at][1] in self.aside or entries[at][2].time_limit_s >= failed[0]):
            at += 1
        passed = entries[group.at : at]
        if passed:
            self._note(failed[2], tuple([entry[1] for entry in passed if entry[1] not in self.aside]))
        group.at = at

    def _skip_aside(self, group: _Group) -> bool:
        """Moves to the next job that is not decided; False at the end of the group."""
        entries = group.entries
        if self.aside:
            while group.at < len(entries) and entries[group.at][1] in self.aside:
                group.at += 1
        return group.at < len(entries)

    def _wait(self, reason: Reason, group: _Group) -> None:
        """All that is left of the group waits."""
        ids = group.jobs.ids()
        if group.at:
            ids = ids[group.at :]
        if self.aside:
            ids = tuple([job_id for job_id in ids if job_id not in self.aside])
        self._note(reason, ids)

    def _note(self, reason: Reason, job_ids: tuple[str, ...]) -> None:
        self.waiting.setdefault(reason, []).append(job_ids)
