"""Jobs of another brain: taken for a loan, begun when that brain has granted its attempt, looked at, ended.

The borrower's agent makes these calls. Each may come twice and each answer may be lost: a job is known by the attempt
of the other brain, of which there is one job at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain.lending import PARTNER_ENGINE, availability, hop_objection, lent_nodes
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.domain.states import FINAL
from compute_scheduler.service import control
from compute_scheduler.service.errors import JobRefused, NoQuota
from compute_scheduler.service.lending import brain_id, lent_amounts
from compute_scheduler.service.lending_errors import LendingLoop, LentJobUnknown, LoanNotOpen, LoanUnknown
from compute_scheduler.service.moves import demand_of
from compute_scheduler.service.submit import Submissions
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import accounts, centres
from compute_scheduler.store import jobs as jobs_store
from compute_scheduler.store import lending as store

Row = dict[str, Any]
SEEN_EVERY_S = 10.0
MOST_LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class Lent:
    """The lender's side."""

    database: Database
    submissions: Submissions

    def look(self, loan_id: str, brain: str | None, holder: str, named: Sequence[str]) -> Row:
        """Everything that the borrower's agent acts on: {brain, loan, available, code, words, nodes, jobs, strays}.

        named: the attempts that it holds; `strays` are live ones of the same holder that it does not. brain: the
        borrower's id, once it is known.
        """
        own, now = brain_id(self.database), utc_now()
        with self.database.reading() as session:
            loan = _loan(session, loan_id)
            rows = store.lent_with_jobs(session, loan_id, named) if named else []
            jobs = _told(session, loan, rows)
            live = store.lent_with_jobs(session, loan_id, None)
            nodes = _nodes(session, loan, now)
        self._note_partner(loan, brain, now)
        state = availability(loan, now)
        return {
            "brain": own,
            "loan": loan_id,
            "title": loan["title"],
            "available": state.is_open,
            "code": state.code,
            "words": state.words,
            "nodes": nodes,
            "jobs": jobs,
            "strays": sorted({row["lent_attempt"] for row in live if row["holder"] == holder} - set(named)),
        }

    def submit(
        self, principal: Principal, loan_id: str, attempt: str, holder: str, hops: Sequence[str], spec: JobSpec
    ) -> Row:
        """Queues an attempt of another brain as a job, once. Raises LoanNotOpen, LendingLoop, JobRefused.

        holder: the mark of the borrower's centre. hops: the brains that the job has left, its home first.
        """
        now = utc_now()
        objection = hop_objection(hops, brain_id(self.database))
        if objection is not None:
            raise LendingLoop(objection[1], reason=objection[0], hops=list(hops))
        with self.database.reading() as session:
            loan = _loan(session, loan_id)
            known = store.lent_by_attempt(session, loan_id, attempt)
            has_own = any(row["capabilities"].get("engine") != PARTNER_ENGINE for row in centres.all_centres(session))
        if known is not None:
            return {"job": known["job"], "attempt": attempt}
        state = availability(loan, now)
        if not state.is_open:
            raise LoanNotOpen(state.words, reason=state.code)
        if not has_own:
            raise LendingLoop("本平台没有自己的算力中心，借来的算力不能转借", reason="lent_twice", hops=list(hops))
        if spec.gang > 1 or spec.datasets or spec.after or spec.centre:
            raise JobRefused("借出的作业不能成组，也不能带 datasets、after、centre", errors=[])
        mark = {
            "loan": loan_id,
            "attempt": attempt,
            "holder": holder,
            "hops": list(hops),
            "priority": "lent" if loan["reclaim"] == "stop" else "low",
        }
        try:
            rows, _ = self.submissions.submit(
                Actor(principal), [spec], token="", idempotency_key=f"{loan_id}:{attempt}", lent=mark
            )
        except NoQuota as error:
            raise LoanNotOpen("出借方现在没有借出算力", reason="nothing_lent") from error
        return {"job": rows[0]["id"], "attempt": attempt}

    def begin(self, principal: Principal, loan_id: str, attempt: str) -> Row:
        """The borrower has granted its attempt: the copy that waits may begin. A repeat changes nothing.

        Raises LentJobUnknown.
        """
        with self.database.transaction() as session:
            row = _lent(session, loan_id, attempt)
            job = jobs_store.lock_jobs(session, [row["job"]])[row["job"]]
            if row["granted_at"] is None and job["state"] not in FINAL:
                store.update_lent(session, row["job"], granted_at=utc_now())
                detail = {"loan": loan_id, "attempt": attempt}
                audit.record(session, principal, action="loan.begin", object=row["job"], detail=detail)
        return {"job": row["job"], "attempt": attempt}

    def cancel(self, principal: Principal, loan_id: str, attempt: str) -> Row:
        """Ends the job of an attempt; one that has ended stays as it is. Raises LentJobUnknown."""
        with self.database.reading() as session:
            row = _lent(session, loan_id, attempt)
            job = jobs_store.job(session, row["job"])
        if job is not None and job["state"] not in FINAL:
            control.cancel(self.database, Actor(principal), row["job"])
        return {"job": row["job"], "attempt": attempt}

    def read_log(self, loan_id: str, attempt: str, offset: int, limit: int) -> bytes:
        """A stretch of what the job printed. Raises LentJobUnknown."""
        with self.database.reading() as session:
            row = _lent(session, loan_id, attempt)
            runs = _runs(store.attempts_of_jobs(session, [row["job"]])[row["job"]])
            return accounts.read_log(session, runs["id"], offset, min(limit, MOST_LOG_BYTES)) if runs else b""

    def output(self, loan_id: str, attempt: str, digest: str) -> bool:
        """Whether a file is an output of the attempt's job. Raises LentJobUnknown."""
        with self.database.reading() as session:
            row = _lent(session, loan_id, attempt)
            job = jobs_store.job(session, row["job"])
        return job is not None and any(item["sha256"] == digest for item in (job["outputs"] or {}).values())

    def _note_partner(self, loan: Row, brain: str | None, now: datetime) -> None:
        seen = loan["seen_at"]
        if brain in (None, loan["partner"]) and seen is not None and now - seen < timedelta(seconds=SEEN_EVERY_S):
            return
        with self.database.transaction() as session:
            store.update_loan(session, loan["id"], {"partner": brain or loan["partner"], "seen_at": now})


def _loan(session: Session, loan_id: str) -> Row:
    row = store.loan(session, loan_id)
    if row is None:
        raise LoanUnknown(f"没有出借 {loan_id[:60]}")
    return row


def _lent(session: Session, loan_id: str, attempt: str) -> Row:
    row = store.lent_by_attempt(session, loan_id, attempt)
    if row is None:
        raise LentJobUnknown(f"出借 {loan_id} 没有运行 {attempt[:60]}")
    return row


def _nodes(session: Session, loan: Row, now: datetime) -> list[Row]:
    """What is lent now over the nodes of this brain's own centres."""
    own = {row["id"] for row in centres.all_centres(session) if row["capabilities"].get("engine") != PARTNER_ENGINE}
    held: dict[str, dict[str, float]] = {}
    for row in store.own_holdings(session):
        node = held.setdefault(row["node"], {})
        for name, amount in demand_of(row["spec"]).amounts().items():
            node[name] = node.get(name, 0.0) + amount
    nodes = [
        {**row, "own": held.get(row["id"], {})}
        for row in centres.all_nodes(session)
        if row["centre"] in own and row["state"] == "up"
    ]
    return lent_nodes(nodes, lent_amounts(loan, now))


def _told(session: Session, loan: Row, rows: list[Row]) -> list[Row]:
    attempts = store.attempts_of_jobs(session, [row["id"] for row in rows])
    sizes = store.log_sizes(session, [item["id"] for found in attempts.values() for item in found])
    over = loan["over_since"]
    stop_at = over + timedelta(seconds=loan["notice_s"]) if over is not None and loan["reclaim"] == "stop" else None
    return [_job_told(row, attempts[row["id"]], sizes, stop_at) for row in rows]


def _job_told(job: Row, attempts: list[Row], sizes: Mapping[str, int], stop_at: datetime | None) -> Row:
    last = attempts[-1] if attempts else None
    run = _runs(attempts)
    asks = last is not None and last["state"] == "submitted" and last["nonce"] is not None
    told: Row = {
        "attempt": job["lent_attempt"],
        "job": job["id"],
        "state": job["state"],
        "reason": job["reason"],
        # Its own attempt whose copy waits for the borrower's word.
        "asks": last["id"] if last is not None and asks and job["granted_at"] is None else None,
        "granted": job["granted_at"] is not None,
        "stop_at": rfc3339(stop_at) if stop_at is not None and job["state"] == "running" else None,
        "log_bytes": sizes.get(run["id"], 0) if run else 0,
        "outputs": {},
        "end": None,
    }
    if job["state"] in FINAL:
        told["outputs"] = job["outputs"] or {}
        told["end"] = _end_told(job, run)
    return told


def _end_told(job: Row, run: Row | None) -> Row:
    if run is None:
        return {"began": False}
    usage, took = run["usage"], run["ended_at"] - run["running_at"]
    return {
        "began": True,
        "outcome": run["outcome"],
        "exit_code": run["exit_code"],
        "reclaimed": job["reclaimed_at"] is not None or run["outcome"] == "preempted",
        "run_s": usage.get("run_s") or max(0.0, took.total_seconds()),
        **{name: usage[name] for name in ("cpu_s", "peak_memory_mb") if name in usage},
    }


def _runs(attempts: Sequence[Row]) -> Row | None:
    """The attempt whose command began: there is one at most."""
    return next((row for row in attempts if row["running_at"] is not None), None)
