"""The plan: which queued jobs start where now, and why the others wait.

Specification (`tests/compute_scheduler/unit/simple_plan.py` is this text as code, without any shortcut):

1. A job whose time limit from now, or from when it may start, passes its deadline is refused, and so is one that comes
   after a job that has not succeeded. A job that may not start yet waits (`not_before`), and so does one that comes
   after a job that has not ended (`dependency`), and one whose data may be in no centre (`data_stays`). A job that
   names a reservation may not start before that opens (`reservation_ahead`) and is refused when it is over or not its.
2. Of the jobs not yet decided take the one with the least
   `submitted_at - priority_s * class + min(short_first * time_limit_s, longest_set_back_s) + fair_share_s * share`,
   then the least id. The share is the tenant's dominant share over decayed usage and what it holds, with the starts of
   this plan, as a multiple of its fair part: its weight over that of all known tenants that queue or hold anything.
3. It waits if its tenant is unknown, no open node could ever hold it, or its tenant's quota does not suffice.
4. Else it starts on the node of best fit (`placement.py`) where it delays no reserved start (`timeline.py`) and no
   window is in its way, on one that a window keeps for it before others (`windows.py`); a gang
   on the nodes that its members find one after another in one centre, all or none (`gangs.py`). If the policy weighs
   something that centres cost the job, that is asked centre by centre in order of score (`siting.py`), and the job
   waits instead if a centre passed over, in which no node has room now, is better: its score plus `wait_weight` times
   the seconds until running jobs leave room there is less, the job will then have waited at most `longest_hold_s`, its
   deadline holds, and no window of others would be open there until the longest such wait and its time limit are over.
5. Else it waits. If fewer than `reservations` jobs of its kind have a reserved start, it gets the earliest one.
   Without backfill nothing of its kind starts any more.
6. A job waits for the reason of an earlier one without looking further when that one was of the same tenant and shape
   (what it asks for, where it may run, which windows are for it)
   and met step 3, or when it was of the same shape and at most the same time limit, found no node, and there is no
   reservation left for their kind. Nothing could have changed for the better: within a plan quotas and nodes only fill.
7. When `most_starts` have been made, all that is not answered by then waits for the next plan.

7. When a job gets its reserved start far off, running jobs of a lower class may have to make way (`preemption.py`).
   They hold what they have until they have ended; the plans after that find the room.

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

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heapreplace, merge

from compute_scheduler.domain import gangs, reasons
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Decisions, Preemption, Reason, Refusal, Reservation, Site, Start, Waiting
from compute_scheduler.domain.lanes import Lane, Turn, lanes_of, share_of
from compute_scheduler.domain.placement import STEPS, Lacking
from compute_scheduler.domain.preemption import Preemptions
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.siting import Siting
from compute_scheduler.domain.snapshot import Policy, QueuedJob, Snapshot
from compute_scheduler.domain.timeline import End, Obstacle
from compute_scheduler.domain.windows import Windows


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


class _Cycle:
    """One run over the queue."""

    def __init__(self, board: Board, now: float, policy: Policy) -> None:
        self.board, self.now, self.policy = board, now, policy
        self.timeline = board.timeline(now)
        self.siting = Siting(board.centres, policy, now, board.windows)
        self.started: list[tuple[QueuedJob, Shape, tuple[int, ...]]] = []
        self.devices: list[list[int | None]] = []
        self.sites: list[tuple[Site | None, tuple[Site, ...]]] = []
        self.refusals: list[Refusal] = []
        self.waiting: dict[Reason, list[tuple[str, ...]]] = {}
        self.aside: set[str] = set()
        # Shape to the least time limit that found no node, and why.
        self.failed: dict[Shape, tuple[float, Lacking, Reason]] = {}
        self.preemptions = Preemptions(board, self.timeline, now, policy)
        self.kept: dict[object, int] = {}
        self.blocked: set[object] = set()

    def run(self) -> None:
        """Decides every job."""
        self._set_aside()
        lanes = [
            (self._key(lane), lane.heap[0][1], lane) for lane in lanes_of(self.board, self.now, self.policy, self.aside)
        ]
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
                Start(
                    job.id,
                    nodes[first].id,
                    nodes[first].centre,
                    *sites,
                    tuple([nodes[place].id for place in more]),
                    shape.demand,
                    tuple(devices) if shape.share else (),
                )
                for (job, shape, (first, *more)), sites, devices in zip(
                    self.started, self.sites, self.devices, strict=True
                )
            ),
            tuple(Waiting(reason, tuple(parts)) for reason, parts in self.waiting.items()),
            tuple(self.refusals),
            tuple(
                Reservation(kept.job_id, nodes[kept.place].id, nodes[kept.place].centre, kept.start_at, kept.end_at)
                for kept in self.timeline.reserved
            ),
            tuple(
                Preemption(job_id, self.board.running[job_id].node, by)
                for job_id, by in self.preemptions.chosen.items()
            ),
        )

    def take_back(self) -> None:
        """Leaves the board as it was."""
        for (job, shape, places), devices in zip(reversed(self.started), reversed(self.devices), strict=True):
            for place, device in zip(reversed(places), reversed(devices), strict=True):
                self.board.index.change(place, shape, 1, device)
            self.board.count(job.tenant, shape, -1)

    def _set_aside(self) -> None:
        """Step 1, for the jobs that name a time or another job."""
        for job in sorted(self.board.conditional.values(), key=lambda job: job.id):
            refusal, wait = _condition(job, self.board.outcomes, self.board.windows, self.now)
            if refusal is not None:
                self.refusals.append(Refusal(job.id, refusal))
                self.aside.add(job.id)
            elif wait is not None:
                self._note(wait, (job.id,))
                self.aside.add(job.id)

    def _key(self, lane: Lane) -> float:
        """The whole of step 2 for the lane's next job."""
        return lane.heap[0][0] + self.policy.fair_share_s * lane.share

    def _step(self, lane: Lane) -> None:
        """Decides the lane's next job, or all that is left of its group."""
        group = lane.heap[0][2]
        job = group.entries[group.at][2]
        reason, is_for_all = self._decide(job, group.shape)
        if is_for_all and reason is not None:
            self._wait(reason, group)
            heappop(lane.heap)
            return
        if reason is None:
            lane.reckon(self.board)
        else:
            self._note(reason, (job.id,))
        group.at += 1
        self._pass_over_alike(group)
        if group.skip(self.aside):
            heapreplace(lane.heap, (*group.entries[group.at][:2], group))
        else:
            heappop(lane.heap)

    def _decide(self, job: QueuedJob, shape: Shape) -> tuple[Reason | None, bool]:
        """Starts the job (None), or gives its reason and whether it holds for the whole rest of its group."""
        whole = shape
        if shape.choices:
            shape = self._affordable(job.tenant, shape)
        failed = self.failed.get(shape)
        has_failed = failed is not None and job.time_limit_s >= failed[0]
        if failed is not None and has_failed and not self._has_room(shape):
            return failed[2], not failed[0]
        reason = self._hold(job, whole, shape)
        if reason is not None:
            return reason, True
        if not self.policy.backfill and shape.kind in self.blocked:
            return reasons.in_line(), True
        if failed is not None and has_failed:
            return self._reserve(job, shape, failed[1]) or failed[2], False
        if self.siting.matters(job):
            return self._weigh(job, shape), False
        places, lacking, blocker = self._place(job, shape)
        if not places:
            return self._block(job, shape, lacking, blocker), False
        self._start(job, shape, places, self.siting.told(job, shape, self.board.index.nodes[places[0]].centre))
        return None, False

    def _weigh(self, job: QueuedJob, shape: Shape) -> Reason | None:
        """Step 4 when the policy weighs sites."""
        worst: Lacking = "accelerators"
        first: Obstacle | None = None
        full: list[Site] = []
        sites = self.siting.ranked(job, shape)
        for site in sites:
            places, lacking, blocker = self._place(job, shape, site.centre)
            if places:
                reason = self.siting.better(job, shape, full, site, self.board.index, self._ends)
                if reason is None:
                    self._start(job, shape, places, site, tuple(other for other in sites if other is not site))
                return reason
            worst = max(worst, lacking, key=lambda step: STEPS[step])
            if blocker is not None and (first is None or blocker.order < first.order):
                first = blocker
            if lacking != "reserved":
                full.append(site)
        return self._block(job, shape, worst, first)

    def _affordable(self, tenant: str, shape: Shape) -> Shape:
        """The shape without the kinds of accelerators for which the tenant's quota does not suffice, if some do."""
        if not self.board.quotas.knows(tenant):
            return shape
        short = [one for one in shape.choices if self.board.quotas.shortage(tenant, one.amounts) is not None]
        if not short or len(short) == len(shape.choices):
            return short[0] if short else shape
        left = shape.without([one.accelerators[0][0] for one in short])
        return self.board.shapes.of(left, shape.centres, shape.home, uses=shape.uses)

    def _hold(self, job: QueuedJob, whole: Shape, shape: Shape) -> Reason | None:
        """Step 3. shape: the whole one without the choices for which the quota does not suffice."""
        if not self.board.quotas.knows(job.tenant):
            return reasons.tenant_unknown(job.tenant)
        reason = self.board.hold(whole)
        if reason is None:
            short = self.board.quotas.shortage(job.tenant, shape.total)
            reason = None if short is None else reasons.quota(job.tenant, short)
        return reason

    def _place(
        self, job: QueuedJob, shape: Shape, centre: str | None = None
    ) -> tuple[tuple[int, ...], Lacking, Obstacle | None]:
        """Step 4: the nodes, or none, what was lacking, and the earliest obstacle that kept a node from it."""
        ends_by_at = self.now + job.time_limit_s
        if shape.gang > 1:
            return gangs.place(shape, self.board, self.timeline, ends_by_at, centre)
        place, lacking, blocker = self.timeline.best(shape, ends_by_at, centre)
        return () if place is None else (place,), lacking, blocker

    def _start(
        self, job: QueuedJob, shape: Shape, places: tuple[int, ...], site: Site | None, others: tuple[Site, ...] = ()
    ) -> None:
        shape = self.board.index.on(places[0], shape)
        self.devices.append([])
        for place in places:
            self.devices[-1].append(self.board.index.change(place, shape, -1))
            self.timeline.start(place, job.id, shape, self.now + job.time_limit_s)
        self.board.count(job.tenant, shape, 1)
        self.started.append((job, shape, places))
        self.sites.append((site, others))
        self.siting.forget_waits()

    def _block(self, job: QueuedJob, shape: Shape, lacking: Lacking, blocker: Obstacle | None) -> Reason:
        """Step 5."""
        if blocker is None:
            self.failed[shape] = (0.0, lacking, reasons.no_room(shape, lacking))
        else:
            self.failed[shape] = (job.time_limit_s, lacking, reasons.barred(blocker, self.now))
        self.blocked.add(shape.kind)
        return self._reserve(job, shape, lacking) or self.failed[shape][2]

    def _reserve(self, job: QueuedJob, shape: Shape, lacking: Lacking) -> Reason | None:
        if not self._has_room(shape):
            return None
        asked = (job.id, shape, job.time_limit_s, self._ends())
        kept = self.timeline.reserve(*asked) if shape.gang == 1 else gangs.reserve(self.timeline, *asked)
        if kept is None:
            return None
        self.kept[shape.kind] = self.kept.get(shape.kind, 0) + 1
        is_late = job.deadline_at is not None and kept.end_at > job.deadline_at
        going = self.preemptions.make_way(job, shape, kept, self._share)
        node = self.board.index.nodes[kept.place]
        why = self.failed[shape][2]
        if why.code in reasons.WINDOWS:
            return reasons.after_window(why, kept.start_at, is_late, going)
        return reasons.resources(shape, lacking, node, kept.start_at, is_late, going)

    def _share(self, tenant: str) -> float:
        """A tenant's share with the starts of this plan."""
        return share_of(self.board, tenant, self.now, self.policy)

    def _has_room(self, shape: Shape) -> bool:
        """Whether a job of this kind may still get a reserved start."""
        return self.kept.get(shape.kind, 0) < self.policy.reservations

    def _ends(self) -> Iterable[End]:
        """Ends of all that runs, with the starts of this plan, in order."""
        new = sorted(
            ((self.now + job.time_limit_s, at, job.id, shape) for job, shape, places in self.started for at in places),
            key=lambda end: end[:3],
        )
        return merge(self.board.ends, new, key=lambda end: end[:3]) if new else self.board.ends

    def _pass_over_alike(self, group: Turn) -> None:
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

    def _wait(self, reason: Reason, group: Turn) -> None:
        """All that is left of the group waits."""
        self._note(reason, group.rest(self.aside))

    def _note(self, reason: Reason, job_ids: tuple[str, ...]) -> None:
        self.waiting.setdefault(reason, []).append(job_ids)


def _condition(
    job: QueuedJob, outcomes: Mapping[str, bool], windows: Windows, now: float
) -> tuple[Reason | None, Reason | None]:
    """Why a job is refused, and why it waits, for its times, its reservation and the jobs that it comes after."""
    earliest = max(now, job.not_before_at or now)
    opens_at = now
    if job.reservation is not None:
        window = windows.by_id.get(job.reservation)
        if window is None or window.end_at <= earliest or not window.is_for(job.tenant, job.priority):
            return reasons.reservation_over(job.reservation), None
        opens_at = window.start_at
        earliest = max(earliest, opens_at)
    if job.deadline_at is not None and earliest + job.time_limit_s > job.deadline_at:
        return reasons.deadline(), None
    for before in sorted(job.after):
        if outcomes.get(before) is False:
            return reasons.dependency_failed(before), None
    if opens_at > now:
        return None, reasons.reservation_ahead(str(job.reservation), opens_at)
    if earliest > now:
        return None, reasons.NOT_BEFORE
    if job.nowhere:
        return None, reasons.DATA_STAYS
    return None, next((reasons.dependency(before) for before in sorted(job.after) if before not in outcomes), None)
