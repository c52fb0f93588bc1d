"""Takes lent capacity back: what waits goes at once when nothing is lent, what runs too much after the notice.

Own jobs that lack room take it by preemption instead (`domain/preemption.py`).
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import structlog
from brain_kit.clock import utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain import states
from compute_scheduler.domain.lending import LentRun, availability, excess
from compute_scheduler.domain.outcomes import Ending
from compute_scheduler.service.lending import lent_amounts
from compute_scheduler.service.moves import Moves, demand_of
from compute_scheduler.store import jobs as jobs_store
from compute_scheduler.store import lending as store

Row = dict[str, Any]
EVERY_S = 1.0
log = structlog.get_logger()


class Recaller:
    """Looks at the loans once a second. Several may run: each change is decided under the lock of its loan."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def run(self, stop: threading.Event) -> None:
        """Looks until stopped."""
        while not stop.wait(EVERY_S):
            try:
                self.look(utc_now())
            except Exception:
                log.exception("recalling_failed")

    def look(self, now: datetime) -> None:
        """Takes back what is due."""
        with self.database.reading() as session:
            wanted = store.loans_with_live_jobs(session)
            wanted |= {row["id"] for row in store.all_loans(session) if row["over_since"] is not None}
            due = [loan_id for loan_id in sorted(wanted) if self._is_due(session, loan_id, now)]
        for loan_id in due:
            with self.database.transaction() as session:
                self._take_back(session, loan_id, now)

    @staticmethod
    def _is_due(session: Session, loan_id: str, now: datetime) -> bool:
        """Whether there is something to change, so that a look at a quiet loan writes nothing."""
        loan = store.loan(session, loan_id)
        assert loan is not None
        live = store.lent_with_jobs(session, loan_id, None)
        over = _over(live, loan, now)
        waits = not availability(loan, now).is_open and any(row["state"] != "running" for row in live)
        return waits or bool(over) != (loan["over_since"] is not None) or bool(over and _is_noticed(loan, now))

    def _take_back(self, session: Session, loan_id: str, now: datetime) -> None:
        loan = store.loan(session, loan_id, lock=True)
        assert loan is not None
        live = store.lent_with_jobs(session, loan_id, None)
        jobs = jobs_store.lock_jobs(session, [row["id"] for row in live])
        moves = Moves(session, now)
        state = availability(loan, now)
        if not state.is_open:
            self._withdraw(moves, jobs, state.words)
        over = _over(live, loan, now)
        if bool(over) != (loan["over_since"] is not None):
            store.update_loan(session, loan_id, {"over_since": now if over else None})
        elif over and _is_noticed(loan, now):
            for job_id in over:
                self._stop(moves, jobs[job_id], now)
        moves.write()

    @staticmethod
    def _withdraw(moves: Moves, jobs: dict[str, Row], words: str) -> None:
        """Jobs that have not begun go back to the borrower."""
        for job in jobs.values():
            if job["state"] == "queued":
                moves.job(job, "cancelled", words, reason_code="loan_not_open")
            elif job["state"] == "starting":
                alive = [row for row in moves.members(job) if row["state"] != "ended"]
                if any(states.is_claimed(row["state"]) for row in alive):
                    continue
                moves.note(job, cancel_at=moves.now)
                for attempt in alive:
                    moves.end(attempt, job, Ending("cancelled", words))

    @staticmethod
    def _stop(moves: Moves, job: Row, now: datetime) -> None:
        if job["state"] != "running":
            return
        for attempt in moves.members(job):
            if attempt["state"] == "running" and not attempt["cancel"]:
                moves.note_attempt(attempt, cancel=True)
                moves.note(job, reason="出借方收回算力：等待命令结束", reason_code="reclaimed")
                store.update_lent(moves.session, job["id"], reclaimed_at=now)


def _over(live: list[Row], loan: Row, now: datetime) -> list[str]:
    """Running jobs over what is lent."""
    running = [
        LentRun(row["id"], demand_of(row["spec"]).amounts(), row["started_at"].timestamp())
        for row in live
        if row["state"] == "running" and row["reclaimed_at"] is None
    ]
    return excess(running, lent_amounts(loan, now))


def _is_noticed(loan: Row, now: datetime) -> bool:
    if loan["reclaim"] != "stop" or loan["over_since"] is None:
        return False
    return bool(now >= loan["over_since"] + timedelta(seconds=loan["notice_s"]))
