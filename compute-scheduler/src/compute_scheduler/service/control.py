"""What people do to jobs that are there: read, cancel, retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain_kit import audit
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from compute_scheduler.domain import states
from compute_scheduler.domain.outcomes import Ending
from compute_scheduler.service.errors import JobUnknown, StateConflict
from compute_scheduler.service.moves import Moves
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
_TIMES = ("submitted_at", "queued_at", "started_at", "ended_at", "predicted_start_at", "not_before_at")
_ATTEMPT_TIMES = ("prepared_at", "submitting_at", "submitted_at", "running_at", "ended_at")
CANCELLED = Ending("cancelled", "已按要求取消")


def get_job(database: Database, actor: Actor, job_id: str) -> Row:
    """A job with its attempts. Raises JobUnknown."""
    with database.reading() as session:
        job = visible(session, actor, job_id)
        attempts = store.attempts_of(session, job_id)
    return shown(job) | {"attempts": [_shown_attempt(attempt) for attempt in attempts], "spec": _plain_spec(job)}


def list_jobs(
    database: Database, actor: Actor, filters: Mapping[str, Any], *, after: str, limit: int
) -> dict[str, Any]:
    """A page of jobs, newest first, with the number of jobs by state."""
    scope = actor.scope
    if scope is None and filters.get("org"):
        scope = str(filters["org"])
    with database.reading() as session:
        rows = store.page(session, org=scope, filters=filters, before=after, limit=limit + 1)
        counts = store.counts(session, scope)
    more = len(rows) > limit
    return {
        "items": [shown(row) for row in rows[:limit]],
        "next": rows[limit - 1]["id"] if more else None,
        "counts": {state: counts.get(state, 0) for state in states.JOB_STATES},
    }


def cancel(database: Database, actor: Actor, job_id: str) -> Row:
    """Ends a job: at once when its command has not begun, else as soon as its agent has ended it.

    A repeat changes nothing. Raises JobUnknown, StateConflict when it has ended otherwise.
    """
    now = utc_now()
    with database.transaction() as session:
        visible(session, actor, job_id)
        job = store.lock_jobs(session, [job_id])[job_id]
        if job["state"] in states.FINAL and job["state"] != "cancelled":
            raise StateConflict(f"作业已经结束（{job['state']}），不能取消", state=job["state"])
        if job["state"] in states.LIVE and job["cancel_at"] is None:
            moves = Moves(session, now)
            moves.note(job, cancel_at=now)
            _cancel(moves, job, [a for a in store.attempts_of(session, job_id) if a["state"] != "ended"])
            moves.write()
            audit.record(session, actor.principal, action="job.cancel", object=job_id, detail={"org": job["org"]})
    return shown(job)


def _cancel(moves: Moves, job: Row, alive: list[Row]) -> None:
    if not alive:
        moves.job(job, "cancelled", CANCELLED.reason)
        return
    for attempt in alive:
        if states.is_claimed(attempt["state"]):
            moves.note(job, reason="正在取消：等待命令结束")
            moves.note_attempt(attempt, cancel=True)
        else:
            # The command has not claimed its epoch: from now on it will be refused.
            moves.end(attempt, job, CANCELLED)


def retry(database: Database, actor: Actor, job_id: str) -> Row:
    """Queues a failed or cancelled job again, as a new attempt. Raises JobUnknown, StateConflict."""
    actor.check_may_run()
    now = utc_now()
    with database.transaction() as session:
        visible(session, actor, job_id)
        job = store.lock_jobs(session, [job_id])[job_id]
        if job["state"] not in ("failed", "cancelled"):
            raise StateConflict(
                f"作业的状态是 {job['state']}，只有 failed 和 cancelled 的作业可以重试", state=job["state"]
            )
        deadline = job["spec"]["deadline"]
        if deadline is not None and deadline <= rfc3339(now):
            raise StateConflict(
                f"作业的截止时间 {deadline} 已过，不能重试；请复制为新作业并改截止时间", state=job["state"]
            )
        moves = Moves(session, now)
        fresh: Row = {"failures": 0, "returns": 0, "cancel_at": None, "exit_code": None, "outputs": {}}
        again = {"queued_at": now, "not_before_at": None, "started_at": None, "ended_at": None}
        moves.job(job, "queued", "已要求重试，等待调度", **fresh, **again)
        moves.write()
        audit.record(session, actor.principal, action="job.retry", object=job_id, detail={"org": job["org"]})
    return shown(job)


def set_priority(database: Database, actor: Actor, job_id: str, priority: str) -> Row:
    """Changes the priority of a waiting job; the next plan goes by it. Raises JobUnknown, StateConflict."""
    with database.transaction() as session:
        visible(session, actor, job_id)
        job = store.lock_jobs(session, [job_id])[job_id]
        if job["state"] != "queued":
            raise StateConflict(f"作业的状态是 {job['state']}，只有等待的作业可以改优先级", state=job["state"])
        before = job["priority"]
        if before == "lent":
            raise StateConflict("借出给别的大脑的作业总在本平台的作业之后，不能改优先级", state=job["state"])
        job |= {"priority": priority, "spec": job["spec"] | {"priority": priority}}
        store.save_jobs(session, {job_id: {"priority": priority, "spec": job["spec"]}})
        detail = {"org": job["org"], "before": before, "after": priority}
        audit.record(session, actor.principal, action="job.priority", object=job_id, detail=detail)
    return shown(job)


def visible(session: Session, actor: Actor, job_id: str) -> Row:
    """The job if the caller may know of it. Raises JobUnknown."""
    job = store.job(session, job_id)
    if job is None or not actor.may_see(job["org"]):
        raise JobUnknown(f"没有作业 {job_id[:60]}")
    return job


def shown(job: Row) -> Row:
    """A job as the API shows it."""
    spec = job["spec"]
    return {
        "id": job["id"],
        "org": job["org"],
        "name": job["name"],
        "state": job["state"],
        "reason": job["reason"],
        "reason_code": job["reason_code"],
        "attempt": job["attempt"],
        "exit_code": job["exit_code"],
        "priority": job["priority"],
        "resources": spec["resources"],
        "gang": spec.get("gang", 1),
        "after": spec.get("after", []),
        "reservation": spec.get("reservation"),
        "preemptions": job["preemptions"],
        "command": spec["command"],
        "labels": job["labels"],
        "outputs": job["outputs"],
        "data": spec.get("data", []),
        "deadline": spec["deadline"],
        "submitted_by": job["submitted_by"],
        "cancel_requested": job["cancel_at"] is not None and job["state"] in states.LIVE,
        **{name: rfc3339(job[name]) if job[name] else None for name in _TIMES},
    }


def _plain_spec(job: Row) -> Row:
    return {name: value for name, value in job["spec"].items() if name not in ("digest", "data")}


def _shown_attempt(attempt: Row) -> Row:
    return {
        "id": attempt["id"],
        "epoch": attempt["epoch"],
        "rank": attempt["rank"],
        "centre": attempt["centre"],
        "node": attempt["node"],
        "state": attempt["state"],
        "outcome": attempt["outcome"],
        "reason": attempt["reason"],
        "exit_code": attempt["exit_code"],
        "usage": attempt["usage"],
        "accelerators": attempt["accelerators"] or {},
        "site": attempt["site"],
        "stage": attempt["stage"],
        "data": attempt["data"] or [],
        "log_bytes": attempt["log_bytes"],
        **{name: rfc3339(attempt[name]) if attempt[name] else None for name in _ATTEMPT_TIMES},
    }
