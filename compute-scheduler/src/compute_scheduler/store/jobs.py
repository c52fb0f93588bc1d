"""Jobs and attempts: reading and writing rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa
from brain_kit.database.bulk import insert_rows, list_parameter, rows_of, rows_of_list
from sqlalchemy.orm import Session

from compute_scheduler.domain.snapshot import QueuedJob
from compute_scheduler.domain.states import FINAL
from compute_scheduler.store.tables import attempts, jobs

Row = dict[str, Any]


def insert_jobs(session: Session, rows: Sequence[Row]) -> None:
    """Adds jobs. Raises IntegrityError for a used idempotency key."""
    insert_rows(session, jobs, rows)


def save_jobs(session: Session, changes: Mapping[str, Row]) -> None:
    """Writes the changed columns of jobs by id."""
    _save(session, jobs, changes)


def insert_attempts(session: Session, rows: Sequence[Row]) -> None:
    """Adds attempts. Raises IntegrityError when a job has one alive."""
    insert_rows(session, attempts, rows)


def save_attempts(session: Session, changes: Mapping[str, Row]) -> None:
    """Writes the changed columns of attempts by id."""
    _save(session, attempts, changes)


def _save(session: Session, table: sa.Table, changes: Mapping[str, Row]) -> None:
    """Rows that change in the same way are one statement; most of a batch do."""
    alike: dict[bytes, list[str]] = {}
    for row_id, values in changes.items():
        alike.setdefault(orjson.dumps(values), []).append(row_id)
    single: dict[tuple[str, ...], list[Row]] = {}
    for ids in alike.values():
        values = changes[ids[0]]
        if len(ids) == 1:
            single.setdefault(tuple(values), []).append({"_id": ids[0], **values})
        else:
            together = {"ids": list_parameter(session, ids), **values}
            session.connection().execute(_update_all(table, tuple(values), _ids(session)), together)
    for columns, rows in single.items():
        session.connection().execute(_update(table, columns), rows)


@cache
def _update(table: sa.Table, columns: tuple[str, ...]) -> sa.Update:
    chosen = sa.update(table).where(table.c.id == sa.bindparam("_id"))
    return chosen.values({name: sa.bindparam(name) for name in columns})


@cache
def _update_all(table: sa.Table, columns: tuple[str, ...], ids: str) -> sa.Update:
    chosen = sa.update(table).where(_is_one_of(table, ids))
    return chosen.values({name: sa.bindparam(name) for name in columns})


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
    found = session.execute(_chosen(jobs, _ids(session), True), {"ids": list_parameter(session, wanted)})
    return {row["id"]: row for row in rows_of(found)}


def attempts_by_id(session: Session, ids: Iterable[str]) -> dict[str, Row]:
    """Attempts by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found = session.execute(_chosen(attempts, _ids(session), False), {"ids": list_parameter(session, wanted)})
    return {row["id"]: row for row in rows_of(found)}


def _ids(session: Session) -> str:
    return rows_of_list(session, "ids", "text")


# Statements are made once: to make one costs more than to run it.
@cache
def _chosen(table: sa.Table, ids: str, lock: bool) -> sa.Select[Any]:
    query = sa.select(table).where(_is_one_of(table, ids)).order_by(table.c.id)
    return query.with_for_update() if lock else query


def _is_one_of(table: sa.Table, ids: str) -> sa.TextClause:
    return sa.text(f"{table.name}.id IN (SELECT value FROM {ids})")


def attempts_of(session: Session, job_id: str) -> list[Row]:
    """Attempts of a job, the first first, members of a gang by rank."""
    query = sa.select(attempts).where(attempts.c.job == job_id).order_by(attempts.c.epoch, attempts.c.rank)
    return rows_of(session.execute(query))


def members(session: Session, job_id: str, epoch: int) -> list[Row]:
    """The attempts of one epoch: a gang's members by rank."""
    where = (attempts.c.job == job_id) & (attempts.c.epoch == epoch)
    return rows_of(session.execute(sa.select(attempts).where(where).order_by(attempts.c.rank)))


def waiting_members(session: Session, since: datetime) -> list[Row]:
    """Members of gangs that came before a moment and still wait for the others."""
    has_come = (attempts.c.state == "submitted") & attempts.c.nonce.is_not(None)
    query = sa.select(attempts).where(has_come & (attempts.c.claimed_at < since))
    return rows_of(session.execute(query.order_by(attempts.c.id)))


def alive_attempts(session: Session, *, centre: str | None = None, states: Sequence[str] = ()) -> list[Row]:
    """Attempts that have not ended, of a centre or of all, in the given states."""
    query = _alive(centre is not None, tuple(states))
    return rows_of(session.execute(query, {"centre": centre} if centre is not None else {}))


@cache
def _alive(is_of_one: bool, states: tuple[str, ...]) -> sa.Select[Any]:
    query = sa.select(attempts).where(attempts.c.state != sa.literal_column("'ended'"))
    if is_of_one:
        query = query.where(attempts.c.centre == sa.bindparam("centre"))
    if states:
        query = query.where(attempts.c.state.in_(states))
    return query.order_by(attempts.c.id)


def to_hand_out(session: Session, centre: str, before: datetime, limit: int) -> list[str]:
    """Attempts of a centre that wait for its agent, or were handed out before a moment and not taken since."""
    values = {"centre": centre, "before": before, "limit": limit}
    return list(session.execute(_TO_HAND_OUT, values).scalars())


_TO_HAND_OUT = (
    sa.select(attempts.c.id)
    .where((attempts.c.centre == sa.bindparam("centre")) & (attempts.c.state != sa.literal_column("'ended'")))
    .where(
        (attempts.c.state == "prepared")
        | ((attempts.c.state == "submitting") & (attempts.c.submitting_at < sa.bindparam("before")))
    )
    .order_by(attempts.c.id)
    .limit(sa.bindparam("limit"))
)


def to_end(session: Session, centre: str) -> list[str]:
    """Attempts of a centre that its agent has to end."""
    return list(session.execute(_TO_END, {"centre": centre}).scalars())


_TO_END = (
    sa.select(attempts.c.id)
    .where((attempts.c.centre == sa.bindparam("centre")) & (attempts.c.state != sa.literal_column("'ended'")))
    .where(attempts.c.cancel & attempts.c.state.in_(("submitting", "submitted", "running")))
    .order_by(attempts.c.id)
)


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
    return rows_of(session.execute(query.order_by(jobs.c.id.desc()).limit(limit)))


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


def queue(session: Session, org: str, limit: int, known: Mapping[str, QueuedJob]) -> tuple[list[str], list[Row]]:
    """Ids of a tenant's waiting jobs, most urgent first, and the rows of those that are not `known` as they stand."""
    ids: list[str] = []
    fresh: list[str] = []
    for priority in ("high", "normal", "low", "lent"):
        values = {"org": org, "priority": priority, "limit": limit - len(ids)}
        found = session.execute(_WAITING, values).scalars().all()
        ids += found
        fresh += [job_id for job_id in found if job_id not in known or known[job_id].priority != priority]
        if len(ids) >= limit:
            break
    return ids, rows_of(_parts_of(session, _QUEUED_COLUMNS, fresh)) if fresh else []


def specs(session: Session, ids: Sequence[str]) -> dict[str, tuple[Row, int]]:
    """Specifications of jobs, and how often each made way."""
    columns = (jobs.c.id, jobs.c.spec, jobs.c.preemptions)
    return {row.id: (row.spec, row.preemptions) for row in _parts_of(session, columns, ids)} if ids else {}


def _parts_of(session: Session, columns: tuple[sa.Column[Any], ...], ids: Sequence[str]) -> sa.Result[Any]:
    return session.execute(_parts(columns, _ids(session)), {"ids": list_parameter(session, ids)})


@cache
def _parts(columns: tuple[sa.Column[Any], ...], ids: str) -> sa.Select[Any]:
    return sa.select(*columns).where(_is_one_of(jobs, ids))


def save_reasons(session: Session, rows: Sequence[Row]) -> None:
    """Writes why jobs wait; rows: _id, reason, reason_code, predicted_start_at.

    Jobs that no longer wait are passed over. Those with the same words are one statement.
    """
    alike: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        alike.setdefault(tuple([row[name] for name in _REASON]), []).append(row["_id"])
    for values, ids in alike.items():
        said = dict(zip(_REASON, values, strict=True)) | {"ids": list_parameter(session, ids)}
        session.connection().execute(_update_reasons(_ids(session)), said)


_REASON = ("reason", "reason_code", "predicted_start_at")


@cache
def _update_reasons(ids: str) -> sa.Update:
    is_waiting = jobs.c.state == sa.literal_column("'queued'")
    chosen = sa.update(jobs).where(_is_one_of(jobs, ids)).where(is_waiting)
    return chosen.values({name: sa.bindparam(name) for name in _REASON})


def ended_before(session: Session, moment: datetime, limit: int) -> list[str]:
    """Attempts that ended before a moment."""
    query = sa.select(attempts.c.id).where((attempts.c.state == "ended") & (attempts.c.ended_at < moment)).limit(limit)
    return list(session.execute(query).scalars())


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
