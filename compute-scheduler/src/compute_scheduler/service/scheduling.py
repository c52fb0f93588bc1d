"""The scheduler: reads the network, asks the plan, writes its decisions, looks after attempts that nobody answers for.

One scheduler at a time by a lease whose token is checked in every transaction: one that was stopped and comes back
finds its token gone and writes nothing.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from brain_kit.clock import gather, utc_now
from brain_kit.database import Database
from brain_kit.events import wakeup
from sqlalchemy.orm import Session

from compute_scheduler import steps
from compute_scheduler.domain.binding import Binding, Holding
from compute_scheduler.domain.board import Board
from compute_scheduler.domain.decisions import Decisions, Start
from compute_scheduler.domain.outcomes import Ending
from compute_scheduler.domain.placement import NodeIndex
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.snapshot import Policy
from compute_scheduler.domain.transfers import ALIVE
from compute_scheduler.service import admission, windows
from compute_scheduler.service.costs import kept
from compute_scheduler.service.metrics import PlanMetrics, TransferMetrics
from compute_scheduler.service.moves import Moves, attempts_next
from compute_scheduler.service.picture import Picture
from compute_scheduler.service.policies import InForce, in_force, of_settings
from compute_scheduler.service.transfers import Booking, rebook
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts, centres, holders, lending, reservations
from compute_scheduler.store import jobs as store
from compute_scheduler.store import transfers as transfer_store

Row = dict[str, Any]
LEASE = "scheduler"
SWEEP_EVERY_S = 1.0
PRUNE_EVERY_S = 600.0
CHOOSE_EVERY_S = 1.0
# Under load it plans this often, so that starts come in batches; the first after a pause comes at once.
GATHER_S = 0.1
log = structlog.get_logger()


class Binder:
    """Binds the starts of one plan to devices; reads what others hold only when a start wants any."""

    def __init__(self, session: Session, index: NodeIndex) -> None:
        self._session = session
        self._index = index
        self._binding: Binding | None = None

    def holdings(self, start: Start) -> list[Holding]:
        """What each member holds of its node's accelerators; nothing when it wants none."""
        if not start.demand.accelerators:
            return []
        if self._binding is None:
            self._binding = Binding(holders.devices_held(self._session))
        devices = start.devices or (None,) * len(start.nodes)
        return [
            self._binding.bind(node, start.demand, self._index.nodes[self._index.place[node]].capacity, device)
            for node, device in zip(start.nodes, devices, strict=True)
        ]


class LeaseLost(Exception):
    """Another scheduler has taken over."""


class Scheduler:
    """Plans in a loop. holder: the name of this scheduler."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        holder: str,
        metrics: TransferMetrics | None = None,
        figures: PlanMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._figures = figures
        self.database = database
        self.settings = settings
        self.holder = holder
        self._choice = InForce(None, "default", of_settings(settings))
        self.policy = self._choice.policy
        self._token: int | None = None
        self._renew_at = 0.0
        self.picture = Picture(settings, self.policy)
        self._swept = self._pruned = 0.0
        self._chosen = float("-inf")
        self._preempted = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Plans whenever something of its database is committed in this process, and every interval, until stopped."""
        import time

        planned = float("-inf")
        try:
            while not stop.is_set():
                gather(planned, GATHER_S)
                planned = time.monotonic()
                seen = wakeup.commits(self.database)
                try:
                    started = self.step(time.monotonic())
                except LeaseLost:
                    log.warning("scheduler_lease_lost", holder=self.holder)
                    started = 0
                if not started:
                    wakeup.wait_for_commit(self.database, seen, self.settings.compute_scheduler_interval_s)
        finally:
            if self._token is not None:
                with self.database.transaction() as session:
                    centres.release_lease(session, LEASE, self.holder, utc_now())

    def step(self, clock: float) -> int:
        """One look at the network; returns how many jobs it started. clock: seconds that never step back.

        Raises LeaseLost when another scheduler has taken over in the middle.
        """
        if not self._has_lease(clock):
            if self._figures is not None:
                self._figures.clear()
            return 0
        now = utc_now()
        is_due = clock - self._swept >= SWEEP_EVERY_S
        if is_due:
            self._swept = clock
            self._sweep(now)
            self._give_up_holds(now)
            self._rebook(now)
            self._turn_windows(now)
        if clock - self._pruned >= PRUNE_EVERY_S:
            self._pruned = clock
            self._prune(now)
        with self.database.reading() as session:
            self._choose(session, clock)
            board = self.picture.look(session, now, clock)
        if is_due and self._figures is not None:
            self._figures.see(board, self.picture.reasons, now.timestamp())
        if not board.queued:
            return 0
        steps.reached("schedule:before-plan")
        with nullcontext() if self._figures is None else self._figures.seconds.time():
            decisions = self._decide(board, now.timestamp(), clock)
        steps.reached("schedule:before-writing")
        started = self._apply(decisions, now)
        if self._figures is not None:
            self._figures.starts.inc(started)
            self._figures.refusals.inc(len(decisions.refusals))
        return started

    def _decide(self, board: Board, at: float, clock: float) -> Decisions:
        """Plans, and again where more than fits at once is handed out ahead; the last plan says what waits."""
        policy = self._policy(clock)
        decisions = plan_board(board, at, policy)
        starts = decisions.starts
        while not decisions.preemptions and self.picture.goes_on(decisions.starts, at):
            decisions = plan_board(board, at, policy)
            starts += decisions.starts
        if decisions.preemptions:
            self._preempted = clock
        return replace(decisions, starts=starts)

    def _policy(self, clock: float) -> Policy:
        """The policy of this plan: now and then one may let running jobs make way."""
        values = self._choice.values
        is_due = clock - self._preempted >= values["preempt_every_s"]
        if is_due and self.picture.lends and not values["preemption"]:  # only what is lent makes way for own jobs
            after_s = self.settings.compute_scheduler_lending_reclaim_after_s
            return replace(
                self.policy, preemptions=values["preempt_most"], preempt_after_s=after_s, preemptible=("lent",)
            )
        return self._choice.letting_way(self.policy, is_due)

    def _choose(self, session: Session, clock: float) -> None:
        """Takes up a version of the policy that has come into force."""
        if clock - self._chosen < CHOOSE_EVERY_S:
            return
        self._chosen = clock
        found = in_force(session, self.settings)
        if found != self._choice:
            self._choice, self.policy = found, found.policy
            self.picture = Picture(self.settings, self.policy)

    def _has_lease(self, clock: float) -> bool:
        lease_s = self.settings.compute_scheduler_lease_s
        if self._token is not None and clock < self._renew_at:
            return True
        now, before = utc_now(), self._token
        with self.database.transaction() as session:
            until = now + timedelta(seconds=lease_s)
            self._token = centres.take_lease(session, LEASE, self.holder, now, until, held=before)
        if self._token != before:
            self.picture.forget()
        self._renew_at = clock + lease_s / 3
        return self._token is not None

    def _fenced(self, session: Session) -> int:
        """The token, proven to be in force for this transaction. Raises LeaseLost."""
        token, self._token = self._token, None
        if token is None or not centres.holds_lease(session, LEASE, self.holder, token):
            raise LeaseLost
        self._token = token
        return token

    def _apply(self, decisions: Decisions, now: datetime) -> int:
        changed = self._changed_reasons(decisions)
        if not (decisions.starts or decisions.refusals or decisions.preemptions or changed):
            return 0
        started = 0
        with self.database.transaction() as session:
            token = self._fenced(session)
            wanted = [start.job_id for start in decisions.starts] + [item.job_id for item in decisions.refusals]
            jobs = store.lock_jobs(session, [*wanted, *(item.job_id for item in decisions.preemptions)])
            moves, binder = Moves(session, now), Binder(session, self.picture.board.index)
            booking = Booking(session, self.settings, now)
            for item in decisions.preemptions:
                if item.job_id in jobs:
                    moves.make_way(jobs[item.job_id], item.by)
            for start in decisions.starts:
                stage = self.picture.stage(start.job_id, start.centre)
                self.picture.leaves(start.job_id, start, now.timestamp())
                job = jobs.get(start.job_id)
                if job is not None and job["state"] == "queued":
                    brought = booking.book(job, start.centre, attempts_next(job, len(start.nodes)))
                    if brought is None:  # the last way to the centre has gone since the plan looked
                        continue
                    moves.prepare(
                        job, centre=start.centre, nodes=start.nodes, site=kept(start), stage=stage, fence=token,
                        holdings=binder.holdings(start),
                        data=brought,
                    )  # fmt: skip
                    started += 1
            for refusal in decisions.refusals:
                self.picture.leaves(refusal.job_id)
                job = jobs.get(refusal.job_id)
                if job is not None and job["state"] == "queued":
                    moves.job(job, "failed", refusal.reason.words, reason_code=refusal.reason.code)
            moves.write()
            store.save_reasons(session, changed)
            steps.reached("schedule:before-commit")
        self.picture.reasons |= {row["_id"]: (row["reason_code"], row["reason"]) for row in changed}
        return started

    def _changed_reasons(self, decisions: Decisions) -> list[Row]:
        changed = []
        for job_id, reason in decisions.waits():
            words = reason.words[:500]
            if self.picture.reasons.get(job_id) != (reason.code, words):
                at = reason.predicted_start_at
                ready = None if at is None else at + self.picture.least_staging_s(job_id)
                predicted = datetime.fromtimestamp(ready, UTC) if ready is not None else None
                changed.append(
                    {"_id": job_id, "reason": words, "reason_code": reason.code, "predicted_start_at": predicted}
                )
        return changed

    def _sweep(self, now: datetime) -> None:
        """Takes back what a silent centre has not claimed: it will be refused there. What it runs waits for it."""
        with self.database.reading() as session:
            silent = {row["id"] for row in centres.all_centres(session) if not admission.is_heard(row, now)}
            alive = [row for row in store.alive_attempts(session) if row["centre"] in silent]
        if not alive:
            return
        with self.database.transaction() as session:
            self._fenced(session)
            jobs = store.lock_jobs(session, [row["job"] for row in alive])
            moves = Moves(session, now)
            for attempt in store.attempts_by_id(session, [row["id"] for row in alive]).values():
                job = jobs[attempt["job"]]
                words = f"中心 {attempt['centre']} 失联，等待它恢复；作业可能仍在运行"
                if attempt["state"] in ("prepared", "submitting", "submitted"):
                    moves.end(attempt, job, Ending("returned", f"中心 {attempt['centre']} 失联，命令没有开始"))
                elif attempt["state"] == "running" and job["state"] == "running" and job["reason"] != words:
                    moves.note(job, reason=words, reason_code="centre_lost")
            moves.write()

    def _give_up_holds(self, now: datetime) -> None:
        """Takes back what holds a node and may not begin: gangs with members missing, lent jobs without an answer."""
        settings = self.settings
        holds = {False: settings.compute_scheduler_gang_hold_s, True: settings.compute_scheduler_lending_hold_s}
        with self.database.reading() as session:
            lent = lending.unanswered_claims(session, now - timedelta(seconds=holds[True]))
            waiting = lent + store.waiting_members(session, now - timedelta(seconds=holds[False]))
        if not waiting:
            return
        with self.database.transaction() as session:
            self._fenced(session)
            jobs = store.lock_jobs(session, [row["job"] for row in waiting])
            moves = Moves(session, now)
            for attempt in store.attempts_by_id(session, [row["id"] for row in waiting]).values():
                job = jobs[attempt["job"]]
                is_lent = "lent" in job["spec"]
                if attempt["state"] == "submitted":
                    hold = f"{holds[is_lent]:g} 秒内"
                    words = f"借入方没有在 {hold}同意开始，让出位置" if is_lent else f"成员没有在 {hold}到齐，全部退回"
                    moves.end(attempt, job, Ending("returned", words))
            moves.write()

    def _rebook(self, now: datetime) -> None:
        """Transfers get new bookings when they are late or their links have changed."""
        with self.database.reading() as session:
            counts = transfer_store.counts(session)
        if self._metrics is not None:
            for state in ALIVE:
                self._metrics.underway.labels(state).set(counts.get(state, 0))
        if not counts:
            return
        with self.database.transaction() as session:
            self._fenced(session)
            rebook(session, self.settings, now)

    def _turn_windows(self, now: datetime) -> None:
        """Opens and ends reservations and maintenance windows whose time has come."""
        with self.database.reading() as session:
            if not reservations.is_any_due(session, now):
                return
        with self.database.transaction() as session:
            self._fenced(session)
            windows.turn(session, now)
            steps.reached("window:before-commit")
        steps.reached("window:turned")

    def _prune(self, now: datetime) -> None:
        oldest = now - timedelta(days=self.settings.compute_scheduler_log_days)
        with self.database.transaction() as session:
            accounts.delete_logs_before(session, oldest)
            transfer_store.prune(session, oldest)
