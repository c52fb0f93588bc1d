"""Loans, their keys, the jobs that run for another brain, and what partners say of attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.store.ledger_tables import ledger
from compute_scheduler.store.lending_tables import brains, lent_jobs, loan_keys, loans, partner_figures
from compute_scheduler.store.tables import attempts, jobs, log_chunks, segments

Row = dict[str, Any]
_LOAN = sa.select(loans).where(loans.c.id == sa.bindparam("loan"))
_LOCKED_LOAN = _LOAN.with_for_update()
_LENT_COLUMNS = (
    jobs,
    lent_jobs.c.attempt.label("lent_attempt"),
    lent_jobs.c.holder,
    lent_jobs.c.granted_at,
    lent_jobs.c.reclaimed_at,
)
_LENT = sa.select(lent_jobs).where(lent_jobs.c.job == sa.bindparam("lent"))


# this brain ---------------------------------------------------------------------------------------------------------


def brain(session: Session) -> str | None:
    """The id of this brain, None before it has one."""
    return session.execute(sa.select(brains.c.id).order_by(brains.c.created_at).limit(1)).scalar()


def insert_brain(session: Session, brain_id: str, now: datetime) -> None:
    """Gives this brain its id."""
    session.execute(sa.insert(brains).values(id=brain_id, created_at=now))


# loans --------------------------------------------------------------------------------------------------------------


def loan(session: Session, loan_id: str, *, lock: bool = False) -> Row | None:
    """A loan."""
    row = session.execute(_LOCKED_LOAN if lock else _LOAN, {"loan": loan_id}).mappings().first()
    return dict(row) if row else None


def all_loans(session: Session) -> list[Row]:
    """Every loan, the newest first."""
    return _rows(session, sa.select(loans).order_by(loans.c.created_at.desc(), loans.c.id))


def insert_loan(session: Session, row: Row) -> None:
    """Adds a loan. Raises IntegrityError when its id is taken."""
    session.execute(sa.insert(loans).values(row))


def update_loan(session: Session, loan_id: str, values: Row) -> None:
    """Changes columns of a loan."""
    session.execute(sa.update(loans).where(loans.c.id == loan_id).values(values))


def add_key(session: Session, key_id: str, loan_id: str, now: datetime) -> None:
    """Binds a key to a loan."""
    session.execute(sa.insert(loan_keys).values(key_id=key_id, loan=loan_id, created_at=now))


def loan_of_key(session: Session, key_id: str) -> str | None:
    """The loan that a key belongs to."""
    return session.execute(sa.select(loan_keys.c.loan).where(loan_keys.c.key_id == key_id)).scalar()


# jobs of another brain ----------------------------------------------------------------------------------------------


def insert_lent(session: Session, rows: Sequence[Row]) -> None:
    """Marks jobs as lent. Raises IntegrityError when the attempt has a job."""
    if rows:
        session.execute(sa.insert(lent_jobs), list(rows))


def lent(session: Session, job_id: str) -> Row | None:
    """What is known of a lent job."""
    row = session.execute(_LENT, {"lent": job_id}).mappings().first()
    return dict(row) if row else None


def lent_by_attempt(session: Session, loan_id: str, attempt: str) -> Row | None:
    """The lent job of the other brain's attempt."""
    where = (lent_jobs.c.loan == loan_id) & (lent_jobs.c.attempt == attempt)
    row = session.execute(sa.select(lent_jobs).where(where)).mappings().first()
    return dict(row) if row else None


def update_lent(session: Session, job_id: str, **values: Any) -> None:
    """Changes columns of a lent job."""
    session.execute(sa.update(lent_jobs).where(lent_jobs.c.job == job_id).values(values))


def lent_with_jobs(session: Session, loan_id: str, named: Sequence[str] | None, limit: int = 5000) -> list[Row]:
    """Jobs of a loan with what is lent of them; `named` attempts, or (None) all that have not ended."""
    query = sa.select(*_LENT_COLUMNS).join(lent_jobs, lent_jobs.c.job == jobs.c.id).where(lent_jobs.c.loan == loan_id)
    if named is None:
        query = query.where(jobs.c.state.in_(("queued", "starting", "running")))
    else:
        query = query.where(lent_jobs.c.attempt.in_(sorted(set(named))))
    return _rows(session, query.order_by(jobs.c.id).limit(limit))


def newest_of(session: Session, loan_id: str, limit: int) -> list[Row]:
    """The newest jobs of a loan."""
    query = sa.select(*_LENT_COLUMNS).join(lent_jobs, lent_jobs.c.job == jobs.c.id).where(lent_jobs.c.loan == loan_id)
    return _rows(session, query.order_by(jobs.c.id.desc()).limit(limit))


def loans_with_live_jobs(session: Session) -> set[str]:
    """Loans whose jobs have not all ended."""
    query = sa.select(lent_jobs.c.loan).join(jobs, jobs.c.id == lent_jobs.c.job)
    return set(session.execute(query.where(jobs.c.state.in_(("queued", "starting", "running"))).distinct()).scalars())


def attempts_of_jobs(session: Session, ids: Iterable[str]) -> dict[str, list[Row]]:
    """Attempts by job, the first first."""
    wanted = sorted(set(ids))
    found: dict[str, list[Row]] = {job_id: [] for job_id in wanted}
    query = sa.select(attempts).where(attempts.c.job.in_(wanted)).order_by(attempts.c.job, attempts.c.epoch)
    for row in _rows(session, query) if wanted else []:
        found[row["job"]].append(row)
    return found


def log_sizes(session: Session, ids: Iterable[str]) -> dict[str, int]:
    """Bytes of log by attempt."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    end = sa.func.max(log_chunks.c.offset + sa.func.length(log_chunks.c.data))
    query = sa.select(log_chunks.c.attempt, end).where(log_chunks.c.attempt.in_(wanted)).group_by(log_chunks.c.attempt)
    return {row[0]: int(row[1]) for row in session.execute(query)}


def unanswered_claims(session: Session, since: datetime) -> list[Row]:
    """Attempts of lent jobs that claimed before a moment and wait for the other brain's word."""
    query = (
        sa.select(attempts)
        .join(lent_jobs, lent_jobs.c.job == attempts.c.job)
        .where((attempts.c.state == "submitted") & (attempts.c.claimed_at < since) & lent_jobs.c.granted_at.is_(None))
    )
    return _rows(session, query.order_by(attempts.c.id))


def own_holdings(session: Session) -> list[Row]:
    """Attempts that hold a node for jobs of this brain: node, spec."""
    query = (
        sa.select(attempts.c.node, jobs.c.spec)
        .join(jobs, jobs.c.id == attempts.c.job)
        .outerjoin(lent_jobs, lent_jobs.c.job == jobs.c.id)
        .where((attempts.c.state != "ended") & lent_jobs.c.job.is_(None))
    )
    return _rows(session, query)


# figures ------------------------------------------------------------------------------------------------------------


def save_figures(session: Session, party: str, figures: Mapping[str, Row], now: datetime) -> None:
    """Keeps what the partner says of attempts; a later word replaces an earlier one."""
    if not figures:
        return
    where = (partner_figures.c.party == party) & partner_figures.c.attempt.in_(sorted(figures))
    session.execute(sa.delete(partner_figures).where(where))
    rows = [{"party": party, "attempt": name, "figure": told, "told_at": now} for name, told in figures.items()]
    session.execute(sa.insert(partner_figures), rows)


def figures(session: Session, party: str, named: Sequence[str] | None = None) -> dict[str, Row]:
    """What the partner said, by attempt."""
    query = sa.select(partner_figures).where(partner_figures.c.party == party)
    if named is not None:
        query = query.where(partner_figures.c.attempt.in_(sorted(set(named))))
    return {row["attempt"]: row["figure"] | {"told_at": row["told_at"]} for row in _rows(session, query)}


def charged(
    session: Session, *, loan_id: str = "", centre: str = "", after: int = 0, limit: int = 500
) -> tuple[list[Row], int]:
    """Accounting records of a loan's jobs or of a centre, with what the ledger charges for each now, and the last id.

    Those that got an entry of the ledger after entry `after`; the last id is that of the newest entry read. Rows:
    lent_attempt (by which both brains know it), job, the columns of the record, amount, price_list.
    """
    query = sa.select(ledger.c.id, ledger.c.attempt).where(ledger.c.id > after).order_by(ledger.c.id)
    if loan_id:
        query = query.join(lent_jobs, lent_jobs.c.job == ledger.c.job).where(lent_jobs.c.loan == loan_id)
    else:
        query = query.where(ledger.c.centre == centre)
    newest = session.execute(query.limit(limit)).all()
    last = int(newest[-1].id) if newest else after
    return records(session, {row.attempt for row in newest}), last


def records(session: Session, named: Iterable[str]) -> list[Row]:
    """Accounting records by this brain's attempt, each with the sum that the ledger has for it."""
    wanted = sorted(set(named))
    if not wanted:
        return []
    sums = (
        sa.select(
            ledger.c.attempt,
            sa.func.sum(ledger.c.amount).label("amount"),
            sa.func.max(ledger.c.price_list).label("price_list"),
        )
        .where(ledger.c.attempt.in_(wanted))
        .group_by(ledger.c.attempt)
        .subquery()
    )
    query = (
        sa.select(segments, sums.c.amount, sums.c.price_list, lent_jobs.c.attempt.label("lent_attempt"))
        .outerjoin(sums, sums.c.attempt == segments.c.attempt)
        .where(segments.c.attempt.in_(wanted))
        .outerjoin(lent_jobs, lent_jobs.c.job == segments.c.job)
    )
    return _rows(session, query.order_by(segments.c.id))


def recorded(session: Session, named: Iterable[str], *, loan_id: str = "", centre: str = "") -> set[str]:
    """Those of the attempts (as both brains know them) of which this brain has an accounting record."""
    wanted = sorted(set(named))
    if not wanted:
        return set()
    if loan_id:
        query = sa.select(lent_jobs.c.attempt).join(segments, segments.c.job == lent_jobs.c.job)
        query = query.where((lent_jobs.c.loan == loan_id) & lent_jobs.c.attempt.in_(wanted))
    else:
        query = sa.select(segments.c.attempt).where((segments.c.centre == centre) & segments.c.attempt.in_(wanted))
    return set(session.execute(query).scalars())


def record_ids(
    session: Session, *, loan_id: str = "", centre: str = "", since: datetime | None, until: datetime | None, limit: int
) -> list[Row]:
    """This brain's records of a loan or a centre between two moments, the newest first: attempt, lent_attempt."""
    query = sa.select(segments.c.attempt, lent_jobs.c.attempt.label("lent_attempt"), segments.c.ended_at)
    if loan_id:
        query = query.join(lent_jobs, lent_jobs.c.job == segments.c.job).where(lent_jobs.c.loan == loan_id)
    else:
        query = query.outerjoin(lent_jobs, lent_jobs.c.job == segments.c.job).where(segments.c.centre == centre)
    if since is not None:
        query = query.where(segments.c.ended_at >= since)
    if until is not None:
        query = query.where(segments.c.ended_at < until)
    return _rows(session, query.order_by(segments.c.id.desc()).limit(limit))


def _rows(session: Session, query: Any) -> list[Row]:
    return [dict(row) for row in session.execute(query).mappings()]
