"""Which running jobs make way for a blocked one of a higher class.

Specification. A job on one node whose reserved start is more than `preempt_after_s` away may take the room of running
jobs, on one node where it may run and would then fit for its whole time limit beside every other reservation and
window. Only jobs
of a lower class make way, never members of a gang, none that has made way `preemptions_per_job` times, none that is
being stopped. On each node they are taken in order of class, of their tenant's share (the greatest first), of the work
lost, of id, until the job fits; then those that were not needed stay, asked in order of the work lost, the most first.
Of the nodes for which that is enough and which need no more than the plan still may preempt, take the least by work
lost, number of jobs, id of the node.

Work lost is the time since the start, or since the last checkpoint, times the part that the job holds of the resource
of which it holds the greatest part.

So preemptions are bounded in each plan and for each job, and a job never makes way for its like: two jobs cannot push
each other away by turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from compute_scheduler.domain.board import CLASSES, Board
from compute_scheduler.domain.fairshare import dominant_share
from compute_scheduler.domain.shapes import Amounts, Shape, amounts_of
from compute_scheduler.domain.snapshot import Policy, QueuedJob, RunningJob
from compute_scheduler.domain.timeline import Reserved, Timeline, fits, is_usable, shift


class Preemptions:
    """The preemptions of one plan."""

    def __init__(self, board: Board, timeline: Timeline, now: float, policy: Policy) -> None:
        self.board, self.timeline, self.now, self.policy = board, timeline, now, policy
        self.chosen: dict[str, str] = {}

    def make_way(self, job: QueuedJob, shape: Shape, kept: Reserved, share: Callable[[str], float]) -> int:
        """Chooses what makes way for the job, if that is allowed and enough; how many jobs. share: of a tenant."""
        left = self.policy.preemptions - len(self.chosen)
        if shape.gang > 1 or left <= 0 or kept.start_at <= self.now + self.policy.preempt_after_s:
            return 0
        best: tuple[tuple[float, int, int], list[RunningJob]] | None = None
        for place, jobs in self._candidates(job, shape).items():
            jobs.sort(key=lambda item: (CLASSES[item.priority], -share(item.tenant), self.lost(item), item.id))
            victims = self._needed(job, shape, place, jobs)
            if victims and len(victims) <= left:
                rank = (sum(self.lost(item) for item in victims), len(victims), place)
                if best is None or rank < best[0]:
                    best = (rank, victims)
        found = best[1] if best else []
        self.chosen |= {item.id: job.id for item in found}
        return len(found)

    def lost(self, job: RunningJob) -> float:
        """The work that is lost when the job is stopped now."""
        worked_s = max(0.0, self.now - job.started_at)
        if job.checkpoint_every_s:
            worked_s %= job.checkpoint_every_s
        return worked_s * dominant_share({}, dict(amounts_of(job.demand)), self.board.total, 1.0)

    def _candidates(self, job: QueuedJob, shape: Shape) -> dict[int, list[RunningJob]]:
        """Running jobs that may have to make way, by node."""
        found: dict[int, list[RunningJob]] = {}
        usable: dict[int, bool] = {}
        for item in self.board.running.values():
            place = self.board.index.place.get(item.node)
            if place is None or not self._may_go(item, job, self.chosen):
                continue
            if usable.setdefault(place, is_usable(self.board.index, place, shape)):
                found.setdefault(place, []).append(item)
        return found

    def _may_go(self, item: RunningJob, job: QueuedJob, chosen: Collection[str]) -> bool:
        return (
            CLASSES[item.priority] < CLASSES[job.priority]
            and (not self.policy.preemptible or item.priority in self.policy.preemptible)
            and not item.more
            and item.preemptions < self.policy.preemptions_per_job
            and item.ends_by_at > self.now
            and item.id not in chosen
        )

    def _needed(self, job: QueuedJob, shape: Shape, place: int, jobs: Sequence[RunningJob]) -> list[RunningJob]:
        """The first of the jobs without which the job fits, less those that may stay; empty when it never fits."""
        going: list[RunningJob] = []
        for item in jobs:
            if self._fits_without(job, shape, place, going):
                break
            going.append(item)
        if not self._fits_without(job, shape, place, going):
            return []
        for item in sorted(going, key=lambda item: (-self.lost(item), item.id)):
            others = [other for other in going if other is not item]
            if self._fits_without(job, shape, place, others):
                going = others
        return going

    def _fits_without(self, job: QueuedJob, shape: Shape, place: int, going: Sequence[RunningJob]) -> bool:
        """Whether the job fits on the node from now on once these have ended, beside the reservations of others."""
        until = self.now + job.time_limit_s
        if place in self.timeline.windows.parted:
            return self._fits_beside_windows(job, self.board.index.on(place, shape), place, going)
        asked = self.board.index.on(place, shape).amounts
        own: list[Reserved] = [kept for kept in self.timeline.at(place) if kept.job_id == job.id]
        free = self.board.index.free(place)
        for item in going:
            shift(free, amounts_of(item.demand), 1)
        for kept in self.timeline.at(place):
            if kept.job_id == job.id or not self.now <= kept.start_at < until:
                continue
            spare = dict(kept.spare)
            given: list[Amounts] = [amounts_of(item.demand) for item in going if item.ends_by_at > kept.start_at]
            given += [mine.amounts for mine in own if mine.start_at <= kept.start_at < mine.end_at]
            for amounts in given:
                shift(spare, amounts, 1)
            if not fits(asked, spare):
                return False
        closing = self.timeline.windows.closing(place, shape.uses, self.now, until)
        return fits(asked, free) and closing is None

    def _fits_beside_windows(self, job: QueuedJob, shape: Shape, place: int, going: Sequence[RunningJob]) -> bool:
        """The same on a node of which windows keep a part. shape: what it takes there."""
        free = self.board.index.free(place)
        for item in going:
            shift(free, amounts_of(item.demand), 1)
        gone = {item.id for item in going}
        until = self.now + job.time_limit_s
        return fits(shape.amounts, free) and self.timeline.barrier(place, shape, until, gone, job.id) is None
