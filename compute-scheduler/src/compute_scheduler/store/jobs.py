"""Jobs and attempts: reading and writing rows."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_kit.database.bulk import list_parameter, rows_of_list
from sqlalchemy.orm import Session

from compute_scheduler.domain.states import FINAL
from compute_scheduler.store.tables import attempts, jobs

Row = dict[str, Any]
# What changes in a job's life; the rest is written once.
_JOB_CHANGES = (
    "state",
    "reason",
    "reason_code",
    "predicted_start_at",
    "attempt",
    "failures",
    "returns",
    "preemptions",
    "exit_code",
    "outputs",
    "not_before_at",
    "cancel_at",
    "queued_at",
    "started_at",
    "ended_at",
)
_ATTEMPT_CHANGES = (
    "state",
    "nonce",
    "outcome",
    "reason",
    "exit_code",
    "usage",
    "log_bytes",
    "cancel",
    "preempted_for",
    "claimed_at",
    "submitting_at",
    "submitted_at",
    "running_at",
    "ended_at",
)
_UPDATE_JOB = sa.update(jobs).where(jobs.c.id == sa.bindparam("_id")).values({n: sa.bindparam(n) for n in _JOB_CHANGES})
_UPDATE_ATTEMPT = (
    sa.update(attempts)
    .where(attempts.c.id == sa.bindparam("_id"))
    .values({n: sa.bindparam(n) for n in _ATTEMPT_CHANGES})
)


def insert_jobs(session: Session, rows: Sequence[Row]) -> None:
    """Adds jobs. Raises IntegrityError for a used idempotency key."""
    if rows:
        session.execute(sa.insert(jobs), list(rows))


def save_jobs(session: Session, rows: Iterable[Row]) -> None:
    """Writes the changing columns of jobs."""
    changes = [{"_id": row["id"], **{name: row[name] for name in _JOB_CHANGES}} for row in rows]
    if changes:
        session.connection().execute(_UPDATE_JOB, changes)


def insert_attempts(session: Session, rows: Sequence[Row]) -> None:
    """Adds attempts. Raises IntegrityError when a job has one alive."""
    if rows:
        session.execute(sa.insert(attempts), list(rows))


def save_attempts(session: Session, rows: Iterable[Row]) -> None:
    """Writes the changing columns of attempts."""
    changes = [{"_id": row["id"], **{name: row[name] for name in _ATTEMPT_CHANGES}} for row in rows]
    if changes:
        session.connection().execute(_UPDATE_ATTEMPT, changes)


def job(session: Session, job_id: str) -> Row | None:
    """A job by id."""
    row = session.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().first()
    return dict(row) if row else None


def lock_jobs(session: Session, ids: Iterable[str]) -> dict[str, Row]:
    """Jobs by id, theirs for this transaction; always locked in the same order, so that two never wait for each other.

    Whoever holds a job holds its attempts.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    chosen = sa.text(f"job.id IN (SELECT value FROM {rows_of_list(session, 'ids', 'text')})")
    query = sa.select(jobs).where(chosen).order_by(jobs.c.id).with_for_update()
    found = session.execute(query, {"ids": list_parameter(session, wanted)}).mappings()
    return {row["id"]: dict(row) for row in found}


def attempts_by_id(session: Session, ids: Iterable[str]) -> dict[str, Row]:
    """Attempts by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    chosen = sa.text(f"attempt.id IN (SELECT value FROM {rows_of_list(session, 'ids', 'text')})")
    found = session.execute(sa.select(attempts).where(chosen), {"ids": list_parameter(session, wanted)}).mappings()
    return {row["id"]: dict(row) for row in found}


def attempts_of(session: Session, job_id: str) -> list[Row]:
    """Attempts of a job, the first first, members of a gang by rank."""
    query = sa.select(attempts).where(attempts.c.job == job_id).order_by(attempts.c.epoch, attempts.c.rank)
    return [dict(row) for row in session.execute(query).mappings()]


def members(session: Session, job_id: str, epoch: int) -> list[Row]:
    """The attempts of one epoch: a gang's members by rank."""
    where = (attempts.c.job == job_id) & (attempts.c.epoch == epoch)
    return [dict(row) for row in session.execute(sa.select(attempts).where(where).order_by(attempts.c.rank)).mappings()]


def waiting_members(session: Session, since: datetime) -> list[Row]:
    """Members of gangs that came before a moment and still wait for the others."""
    has_come = (attempts.c.state == "submitted") & attempts.c.nonce.is_not(None)
    query = sa.select(attempts).where(has_come & (attempts.c.claimed_at < since))
    return [dict(row) for row in session.execute(query.order_by(attempts.c.id)).mappings()]


def alive_attempts(session: Session, *, centre: str | None = None, states: Sequence[str] = ()) -> list[Row]:
    """Attempts that have not ended, of a centre or of all, in the given states."""
    query = sa.select(attempts).where(attempts.c.state != "ended")
    if centre is not None:
        query = query.where(attempts.c.centre == centre)
    if states:
        query = query.where(attempts.c.state.in_(states))
    return [dict(row) for row in session.execute(query.order_by(attempts.c.id)).mappings()]


def states_of(session: Session, ids: Iterable[str], org: str | None = None) -> dict[str, str]:
    """States of jobs, of one organisation or of any; unknown ones are absent."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    chosen = sa.text(f"job.id IN (SELECT value FROM {rows_of_list(session, 'ids', 'text')})")
    query = sa.select(jobs.c.id, jobs.c.state).where(chosen)
    if org is not None:
        query = query.where(jobs.c.org == org)
    return {str(row.id): str(row.state) for row in session.execute(query, {"ids": list_parameter(session, wanted)})}


def outcomes(session: Session, ids: Iterable[str]) -> dict[str, bool]:
    """Whether jobs succeeded, of those that have ended."""
    found = states_of(session, ids)
    return {job_id: state == "succeeded" for job_id, state in found.items() if state in FINAL}


def by_idempotency(session: Session, org: str, key: str) -> Row | None:
    """The job that an idempotency key made."""
    where = (jobs.c.org == org) & (jobs.c.idempotency_key == key)
    row = session.execute(sa.select(jobs).where(where)).mappings().first()
    return dict(row) if row else None


def page(session: Session, *, org: str | None, filters: Mapping[str, Any], before: str, limit: int) -> list[Row]:
    """Jobs, newest first. filters: states, name (part), label ((name, value)), centre, org, since."""
    query = sa.select(jobs)
    if org is not None:
        query = query.where(jobs.c.org == org)
    if filters.get("states"):
        query = query.where(jobs.c.state.in_(filters["states"]))
    if filters.get("name"):
        query = query.where(jobs.c.name.contains(filters["name"], autoescape=True))
    if filters.get("label"):
        name, value = filters["label"]
        query = query.where(jobs.c.labels[name].as_string() == value)
    if filters.get("centre"):
        ran_there = sa.select(attempts.c.job).where(attempts.c.centre == filters["centre"])
        query = query.where(jobs.c.id.in_(ran_there))
    if before:
        query = query.where(jobs.c.id < before)
    return [dict(row) for row in session.execute(query.order_by(jobs.c.id.desc()).limit(limit)).mappings()]


def counts(session: Session, org: str | None) -> dict[str, int]:
    """Number of jobs by state."""
    query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    if org is not None:
        query = query.where(jobs.c.org == org)
    return {row[0]: row[1] for row in session.execute(query)}


def queued_of(session: Session, org: str) -> int:
    """How many jobs of a tenant wait."""
    query = sa.select(sa.func.count()).select_from(jobs).where((jobs.c.org == org) & (jobs.c.state == "queued"))
    return int(session.execute(query).scalar_one())


_QUEUEING_ORGS = sa.select(jobs.c.org).where(jobs.c.state == sa.literal_column("'queued'")).distinct()


def queueing_orgs(session: Session) -> list[str]:
    """Tenants with jobs that wait."""
    return list(session.execute(_QUEUEING_ORGS).scalars())


_QUEUED_COLUMNS = (
    jobs.c.id,
    jobs.c.org,
    jobs.c.spec,
    jobs.c.priority,
    jobs.c.queued_at,
    jobs.c.not_before_at,
    jobs.c.preemptions,
    jobs.c.reason_code,
    jobs.c.reason,
)
_WAITING = (
    sa.select(jobs.c.id)
    # Written out, so that the database sees that its partial index serves.
    .where((jobs.c.org == sa.bindparam("org")) & (jobs.c.state == sa.literal_column("'queued'")))
    .where(jobs.c.priority == sa.bindparam("priority"))
    .order_by(jobs.c.id)
    .limit(sa.bindparam("limit"))
)


def queue(session: Session, org: str, limit: int, known: Container[str]) -> tuple[list[str], list[Row]]:
    """Ids of a tenant's waiting jobs, most urgent first, and the rows of those that are not in `known`."""
    ids: list[str] = []
    for priority in ("high", "normal", "low"):
        values = {"org": org, "priority": priority, "limit": limit - len(ids)}
        ids += session.execute(_WAITING, values).scalars()
        if len(ids) >= limit:
            break
    fresh = [job_id for job_id in ids if job_id not in known]
    return ids, [dict(row) for row in _rows_of(session, _QUEUED_COLUMNS, fresh).mappings()] if fresh else []


def specs(session: Session, ids: Sequence[str]) -> dict[str, tuple[Row, int]]:
    """Specifications of jobs, and how often each made way."""
    columns = (jobs.c.id, jobs.c.spec, jobs.c.preemptions)
    return {row.id: (row.spec, row.preemptions) for row in _rows_of(session, columns, ids)} if ids else {}


def _rows_of(session: Session, columns: tuple[sa.Column[Any], ...], ids: Sequence[str]) -> sa.Result[Any]:
    chosen = sa.text(f"job.id IN (SELECT value FROM {rows_of_list(session, 'ids', 'text')})")
    return session.execute(sa.select(*columns).where(chosen), {"ids": list_parameter(session, ids)})


def save_reasons(session: Session, rows: Sequence[Row]) -> None:
    """Writes why jobs wait; rows: _id, reason, reason_code, predicted_start_at.

    Jobs that no longer wait are passed over.
    """
    if rows:
        update = (
            sa.update(jobs)
            .where((jobs.c.id == sa.bindparam("_id")) & (jobs.c.state == "queued"))
            .values({n: sa.bindparam(n) for n in ("reason", "reason_code", "predicted_start_at")})
        )
        session.connection().execute(update, list(rows))


def ended_before(session: Session, moment: datetime, limit: int) -> list[str]:
    """Attempts that ended before a moment."""
    query = sa.select(attempts.c.id).where((attempts.c.state == "ended") & (attempts.c.ended_at < moment)).limit(limit)
    return list(session.execute(query).scalars())


def holding(session: Session) -> list[tuple[Row, Row]]:
    """Attempts that hold a node, each with its job's specification."""
    query = (
        sa.select(
            attempts.c.job, attempts.c.org, attempts.c.node, attempts.c.prepared_at, attempts.c.running_at, jobs.c.spec
        )
        .join(jobs, jobs.c.id == attempts.c.job)
        .where(attempts.c.state != "ended")
        .order_by(attempts.c.job, attempts.c.rank)
    )
    return [(dict(row), row["spec"]) for row in session.execute(query).mappings()]


_HOLDERS = sa.select(
    attempts.c.job, attempts.c.org, attempts.c.node, attempts.c.prepared_at, attempts.c.running_at, attempts.c.cancel
).where(attempts.c.state != sa.literal_column("'ended'"))


def holders(session: Session) -> list[sa.Row[Any]]:
    """Attempts that hold a node: job, org, node, prepared_at, running_at, cancel."""
    return [*session.execute(_HOLDERS)]


_NEWS = (
    sa.select(attempts.c.id, attempts.c.state)
    .where((attempts.c.centre == sa.bindparam("centre")) & (attempts.c.state != sa.literal_column("'ended'")))
    .where((attempts.c.state == "prepared") | attempts.c.cancel)
    .limit(sa.bindparam("limit"))
)


def has_news(session: Session, centre: str, ending: set[str]) -> bool:
    """Whether a centre's agent has work to take, or attempts to end beside those in `ending`."""
    found = session.execute(_NEWS, {"centre": centre, "limit": len(ending) + 1})
    return any(row.state == "prepared" or row.id not in ending for row in found)


def gangs_at_fault(session: Session, members: Iterable[str], outcomes: Iterable[str]) -> dict[str, str]:
    """By attempt the outcome of another member of its gang that ended in one of the outcomes, if there is one."""
    gangs = {attempt: attempt.rpartition(".")[0] for attempt in members if attempt.count(".") == 2}
    if not gangs:
        return {}
    jobs_of_gangs = sorted({gang.partition(".")[0] for gang in gangs.values()})
    chosen = sa.text(f"attempt.job IN (SELECT value FROM {rows_of_list(session, 'ids', 'text')})")
    query = sa.select(attempts.c.job, attempts.c.epoch, attempts.c.outcome).where(chosen)
    query = query.where(attempts.c.outcome.in_(sorted(outcomes))).order_by(attempts.c.id)
    found = session.execute(query, {"ids": list_parameter(session, jobs_of_gangs)})
    worst = {f"{row.job}.{row.epoch}": row.outcome for row in found}
    return {attempt: worst[gang] for attempt, gang in gangs.items() if gang in worst}
