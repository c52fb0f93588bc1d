"""Tenants, accounting, files and logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from brain_kit.database.bulk import insert_rows, rows_of
from sqlalchemy.orm import Session

from compute_scheduler.store.tables import files, log_chunks, segments, tenants

Row = dict[str, Any]
# Statements are made once: to make one costs more than to run it.
_ONE = sa.select(tenants).where(tenants.c.org == sa.bindparam("tenant"))
_TENANT = {False: _ONE, True: _ONE.with_for_update()}
_TENANTS = sa.select(tenants).order_by(tenants.c.org)


def tenant(session: Session, org: str, *, lock: bool = False) -> Row | None:
    """A tenant's quota and usage."""
    row = session.execute(_TENANT[lock], {"tenant": org}).mappings().first()
    return dict(row) if row else None


def all_tenants(session: Session) -> list[Row]:
    """Every tenant by organisation."""
    return rows_of(session.execute(_TENANTS))


def save_tenant(session: Session, org: str, now: datetime, **values: Any) -> None:
    """Changes a tenant, or makes it."""
    known = session.connection().execute(_change(tuple(values)), {"tenant": org, "now": now, **values})
    if not known.rowcount:
        start: Row = {"quota": None, "weight": 1.0, "quota_group": None, "usage": {}, "usage_as_of": now}
        session.execute(sa.insert(tenants).values(org=org, updated_at=now, **(start | values)))


@cache
def _change(columns: tuple[str, ...]) -> sa.Update:
    changed: Row = {name: sa.bindparam(name) for name in columns}
    return (
        sa.update(tenants)
        .where(tenants.c.org == sa.bindparam("tenant"))
        .values(updated_at=sa.bindparam("now"), **changed)
    )


def insert_segments(session: Session, rows: Sequence[Row]) -> None:
    """Adds accounting records. Raises IntegrityError when an attempt has one."""
    insert_rows(session, segments, rows)


def page_of_segments(
    session: Session,
    *,
    org: str | None,
    centre: str | None,
    since: datetime | None,
    until: datetime | None,
    after: int,
    limit: int,
) -> list[Row]:
    """Accounting records in the order in which they were written; times are those of the end."""
    query = sa.select(segments).where(segments.c.id > after)
    if org is not None:
        query = query.where(segments.c.org == org)
    if centre is not None:
        query = query.where(segments.c.centre == centre)
    if since is not None:
        query = query.where(segments.c.ended_at >= since)
    if until is not None:
        query = query.where(segments.c.ended_at < until)
    return rows_of(session.execute(query.order_by(segments.c.id).limit(limit)))


def core_seconds_since(session: Session, moment: datetime) -> Iterator[Row]:
    """What ended attempts held of cores, of those that ended at a moment or later: centre, org, times, core_s."""
    columns = (segments.c.centre, segments.c.org, segments.c.started_at, segments.c.ended_at, segments.c.core_s)
    query = sa.select(*columns).where(segments.c.ended_at >= moment)
    for row in session.execute(query.execution_options(yield_per=5000)).mappings():
        yield dict(row)


def file(session: Session, org: str, sha256: str) -> Row | None:
    """A file of an organisation."""
    row = session.execute(sa.select(files).where((files.c.org == org) & (files.c.sha256 == sha256))).mappings().first()
    return dict(row) if row else None


def known_files(session: Session, org: str, digests: Iterable[str]) -> set[str]:
    """Which of the digests are files of the organisation."""
    query = sa.select(files.c.sha256).where((files.c.org == org) & files.c.sha256.in_(sorted(set(digests))))
    return set(session.execute(query).scalars())


def save_file(session: Session, org: str, sha256: str, size: int, now: datetime) -> bool:
    """Makes a file one of the organisation's; False when it was."""
    if file(session, org, sha256) is not None:
        return False
    session.execute(sa.insert(files).values(org=org, sha256=sha256, size=size, created_at=now))
    return True


def append_log(session: Session, attempt: str, offset: int, data: bytes, now: datetime) -> None:
    """Keeps what a stretch of a log adds to what is there; an agent that came back sends it from the beginning."""
    last = (
        sa.select(log_chunks.c.offset, sa.func.length(log_chunks.c.data).label("size"))
        .where(log_chunks.c.attempt == attempt)
        .order_by(log_chunks.c.offset.desc())
        .limit(1)
    )
    row = session.execute(last).first()
    end = row.offset + row.size if row is not None else 0
    added = data[end - offset :] if offset <= end else b""
    if added:
        session.execute(sa.insert(log_chunks).values(attempt=attempt, offset=end, data=added, at=now))


def read_log(session: Session, attempt: str, offset: int, most_bytes: int) -> bytes:
    """Bytes of a log from `offset`, as many whole stretches as make up `most_bytes`."""
    # The stretch that covers the offset begins before it.
    first = sa.select(sa.func.max(log_chunks.c.offset)).where(
        (log_chunks.c.attempt == attempt) & (log_chunks.c.offset <= offset)
    )
    start = session.execute(first).scalar()
    if start is None:
        return b""
    query = (
        sa.select(log_chunks.c.offset, log_chunks.c.data)
        .where((log_chunks.c.attempt == attempt) & (log_chunks.c.offset >= start))
        .order_by(log_chunks.c.offset)
    )
    parts, size = [], 0
    for row in session.execute(query.execution_options(yield_per=4)):
        parts.append(bytes(row.data)[max(0, offset - row.offset) :])
        size += len(parts[-1])
        if size >= most_bytes:
            break
    return b"".join(parts)[:most_bytes]


def delete_logs_before(session: Session, moment: datetime) -> int:
    """Removes stretches of logs that came before a moment; returns how many."""
    removed = session.execute(sa.delete(log_chunks).where(log_chunks.c.at < moment))
    return int(removed.rowcount)  # type: ignore[attr-defined]
