"""The scheduler's picture of the network: a board that is kept between plans and brought up to what the tables say.

Nothing is taken from memory that the tables could contradict: each look reads which jobs wait and which attempts live,
and only what is new is read whole. So it does not matter who changed them, this process or another.

Where jobs end faster than word of it travels, a plan of what is free now would leave nodes idle. A centre whose engine
keeps waiting what it has no room for is therefore planned for the moment in which the work arrives: as many young
attempts as end there in a second (`pace.py`), of the same tenant and size, are taken to have ended by then. They go on
holding their tenant's quota.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Start
from compute_scheduler.domain.popularity import Popularity
from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Policy, Priority, QueuedJob, RunningJob, Snapshot, Stage
from compute_scheduler.service import admission
from compute_scheduler.service.costs import Told
from compute_scheduler.service.data import DataView, needs_of
from compute_scheduler.service.moves import demand_of
from compute_scheduler.service.pace import Kind, Pace
from compute_scheduler.settings import Settings
from compute_scheduler.store import holders
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
# Prices and energy factors are read this often; they decide where a job is cheaper, never whether it may run.
COSTS_EVERY_S = 1.0
# A job that has lived longer is not taken to end soon.
YOUNG_S = 2.0


class Picture:
    """What the plan looks at. `look` brings it up to date; `board` stands for what was last seen."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        self.settings = settings
        self.policy = policy
        self.forget()

    def forget(self) -> None:
        """Begins anew, as after another scheduler has been at work."""
        self.board = Board(Snapshot(), self.policy)
        self.reasons: dict[str, tuple[str, str]] = {}
        self._network: admission.Network | None = None
        self._told_costs: Told | None = None
        self._read_costs = float("-inf")
        self._sharing: frozenset[str] = frozenset()
        self._own: tuple[str, ...] = ()
        self._data = DataView(self.settings)
        self._queueing: set[str] = set()  # centres whose engines keep work waiting
        self._held: dict[str, RunningJob] = {}
        self._told: dict[str, RunningJob] = {}  # as they were told to the board, which adds kinds and devices
        self._popularity = Popularity()
        self._sizes: dict[str, Size] = {}
        self._pace = Pace()
        self._elsewhere: dict[str, RunningJob] = {}
        self._ends_left: dict[Kind, int] = {}  # of the pace, after those that are taken to have ended
        self._read: dict[str, tuple[holders.Holder, RunningJob]] = {}  # what was made of each row at the last look

    def look(self, session: Session, now: datetime, clock: float) -> Board:
        """The board of this moment. clock: seconds that never step back."""
        self._look_at_network(session, now, clock)
        queued = self._queued(session)
        self._data.place(session, queued, self.board.queued, now, clock)
        before = {before for job in queued.values() for before in job.after}
        self.board.put_outcomes(store.outcomes(session, before))
        held = self._alive(session)
        self._note_ends(held, now.timestamp(), clock)
        self._held = held
        self._follow(queued, self._anticipated(held, now.timestamp()))
        known = self.board.queued.keys() | held.keys()
        self._sizes = {job_id: size for job_id, size in self._sizes.items() if job_id in known}
        self.reasons = {job_id: reason for job_id, reason in self.reasons.items() if job_id in queued}
        return self.board

    @property
    def lends(self) -> bool:
        """Whether work of another brain runs that may be stopped for this brain's own."""
        return any(job.priority == "lent" for job in self._held.values())

    def stage(self, job_id: str, centre: str) -> Stage | None:
        """What it takes to bring a queued job's data to a centre; None: it reads none."""
        job = self.board.queued.get(job_id)
        return None if job is None else job.stages.get(centre)

    def least_staging_s(self, job_id: str) -> float:
        """Seconds that bringing a queued job's data takes at least, wherever it runs."""
        job = self.board.queued.get(job_id)
        return min((stage.seconds for stage in job.stages.values()), default=0.0) if job is not None else 0.0

    def leaves(self, job_id: str, start: Start | None = None, at: float = 0.0) -> None:
        """A job was taken out of the queue, to nodes or not: when it queues again it is another job to the plan."""
        if job_id not in self.board.queued:
            return
        job = self.board.withdraw(job_id)
        if start is not None:  # it may have ended before the next look
            ends_by_at = at + job.time_limit_s
            standing = _size(job).standing
            held = RunningJob(job_id, job.tenant, start.demand, start.node, at, ends_by_at, start.more, *standing)
            self._held[job_id] = held

    def goes_on(self, starts: Sequence[Start], at: float) -> bool:
        """Takes plain starts of the board as made; whether another plan may hand out more ahead of what fits."""
        jobs = [self.board.queued[start.job_id] for start in starts]
        is_plain = not any(job.stages or job.gang > 1 or job.demand.accelerators for job in jobs)
        if not (starts and is_plain and self._pace):
            return False
        made: list[RunningJob] = []
        for start in starts:
            self.leaves(start.job_id, start, at)
            held = self._held[start.job_id]
            made.append(self._ahead(held) or held)
        if all(job.node for job in made):
            return False
        for job in made:
            self.board.hold_for(job)
            self._told[job.id] = job
        return bool(self.board.queued)

    def _look_at_network(self, session: Session, now: datetime, clock: float) -> None:
        if clock - self._read_costs >= COSTS_EVERY_S:
            self._told_costs, self._read_costs = Told.load(session), clock
        seen = admission.network(session, self.settings, now, self._told_costs)
        before = self._network
        self._network = seen
        if before is None or (before.centres, before.nodes, before.windows) != (seen.centres, seen.nodes, seen.windows):
            old = self.board.snapshot()
            here = Snapshot(
                seen.centres, seen.nodes, (), old.queued, old.running, popular=old.popular, windows=seen.windows
            )
            self.board = Board(here, self.policy)
        self._queueing = {centre for centre, can in seen.queues.items() if can}
        for usage in seen.usages:
            self.board.put_usage(usage)

    def _follow(self, queued: dict[str, QueuedJob], running: dict[str, RunningJob]) -> None:
        board, network = self.board, self._network
        assert network is not None
        running = running | {job.id: job for job in network.foreign}
        told = self._told
        for job_id in [job_id for job_id in board.running if _is_other(running.get(job_id), told.get(job_id))]:
            board.end(job_id)
        self._told = running
        for job_id in [job_id for job_id, job in board.queued.items() if queued.get(job_id) is not job]:
            board.withdraw(job_id)
        orgs = {job.tenant for job in queued.values()} | {job.tenant for job in running.values()}
        tenants = {tenant.id: tenant for tenant in admission.tenants(network, orgs, self.settings)}
        if network.foreign:
            tenants[admission.NOBODY.id] = admission.NOBODY
        if tenants != board.tenants:
            board.put_tenants(tenants.values())
        for job_id, run in running.items():
            if job_id not in board.running:
                board.hold_for(run)
        for job_id, job in queued.items():
            if job_id not in board.queued:
                board.submit(job)

    def _queued(self, session: Session) -> dict[str, QueuedJob]:
        limit = self.settings.compute_scheduler_queue_per_tenant
        network, known = self._network, self.board.queued
        assert network is not None
        if network.shares != self._sharing:  # where parts of accelerators may run is found out anew
            self._sharing = network.shares
            known = {job_id: job for job_id, job in known.items() if not job.demand.share}
        if network.own != self._own:  # and where lent jobs and gangs may
            self._own, known = network.own, {}
        queued: dict[str, QueuedJob] = {}
        for org in store.queueing_orgs(session):
            ids, fresh = store.queue(session, org, limit, known)
            made = {row["id"]: admission.queued_job(row, network) for row in fresh}
            self.reasons |= {row["id"]: (row["reason_code"], row["reason"]) for row in fresh}
            self._sizes |= {job.id: _size(job) for job in made.values()}
            self._learn(made.values())
            for row in fresh:
                self._data.note(made[row["id"]], needs_of(row["spec"]))
            queued |= {job_id: made.get(job_id) or known[job_id] for job_id in ids}
        return queued

    def _learn(self, jobs: Iterable[QueuedJob]) -> None:
        """What is popular among the jobs that come, by which the placement keeps accelerators whole."""
        for job in jobs:
            if (popular := self._popularity.comes(job.demand)) is not None:
                self.board.put_popular(popular)

    def _alive(self, session: Session) -> dict[str, RunningJob]:
        rows = holders.holders(session)
        strange = [row.job for row in rows if row.job not in self._sizes]
        for job_id, (spec, preemptions) in store.specs(session, strange).items():
            known = (spec["priority"], preemptions, spec.get("checkpoint_every_s"))
            self._sizes[job_id] = Size(demand_of(spec), float(spec["time_limit_s"]), known)
        alive: dict[str, RunningJob] = {}
        read: dict[str, tuple[holders.Holder, RunningJob]] = {}
        for row in rows:
            job_id = row[0]
            before = self._read.get(job_id)
            run = before[1] if before is not None and before[0] == row else self._running(row)
            read[job_id] = (row, run)
            if (other := alive.get(job_id)) is not None:  # members of a gang hold a share each, until each has ended
                run = replace(run, more=other.nodes, devices=run.devices + other.devices)
            alive[job_id] = run
        self._read = read
        return alive

    def _running(self, row: holders.Holder) -> RunningJob:
        size = self._sizes[row.job]
        began = (row.running_at or row.prepared_at).timestamp()
        ends_by_at = began if row.cancel else began + size.time_limit_s  # one that is being stopped ends now
        run = RunningJob(row.job, row.org, size.demand, row.node, began, ends_by_at, (), *size.standing)
        return admission.with_devices(run, row.accelerators) if row.accelerators else run

    def _note_ends(self, alive: dict[str, RunningJob], now: float, clock: float) -> None:
        """Short jobs that have ended since the last look."""
        for job_id, job in self._held.items():
            if not job.more and job_id not in alive and now - job.started_at < YOUNG_S:
                self._pace.ended(_kind(job), clock)
        self._pace.forget(clock)

    def _anticipated(self, alive: dict[str, RunningJob], now: float) -> dict[str, RunningJob]:
        """What lives, with those that will have ended soon taken off their nodes."""
        if not self._pace:
            return alive
        since = now - YOUNG_S
        young = [job for job in alive.values() if job.started_at > since and not job.more]
        young.sort(key=lambda job: (job.started_at, job.id))
        seen = dict(alive)
        before, self._elsewhere = self._elsewhere, {}
        self._ends_left = self._pace.in_a_second()
        for job in young:
            ahead = self._ahead(job, before.get(job.id))
            if ahead is not None:
                seen[job.id] = ahead
        return seen

    def _ahead(self, job: RunningJob, before: RunningJob | None = None) -> RunningJob | None:
        """A young job as it is taken to have ended, off its node; None when no more like it end that soon.

        before: what was answered at the last look, which is answered again while nothing else is new.
        """
        kind = _kind(job)
        if not (self._ends_left.get(kind) and self._keeps_waiting(job.node)):
            return None
        self._ends_left[kind] -= 1
        is_known = before is not None and before.started_at == job.started_at and before.ends_by_at == job.ends_by_at
        ahead = before if before is not None and is_known else replace(job, node="")
        self._elsewhere[job.id] = ahead
        return ahead

    def _keeps_waiting(self, node: str) -> bool:
        return node.partition("/")[0] in self._queueing


class Size(NamedTuple):
    """What a job holds while it runs. standing: its priority, how often it made way, how often it saves."""

    demand: Resources
    time_limit_s: float
    standing: tuple[Priority, int, float | None]


def _size(job: QueuedJob) -> Size:
    return Size(job.demand, job.time_limit_s, (job.priority, job.preemptions, job.checkpoint_every_s))


def _is_other(job: RunningJob | None, told: RunningJob | None) -> bool:
    """Most are the same object, which a comparison of all fields would not notice."""
    return job is not told and job != told


def _kind(job: RunningJob) -> Kind:
    return job.tenant, job.demand, job.node
