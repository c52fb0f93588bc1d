"""Pushes: their rows, their queue, their staged bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data_hub.domain.push import State, sources_of
from data_hub.store.tables import pushes, staged_bytes


@dataclass(frozen=True)
class PushRecord:
    """A push as it is kept."""

    id: str
    dataset: str
    owner: str
    subject: str
    mode: str
    state: str
    contract_version: str
    media_type: str
    created_at: datetime
    idempotency_key: str | None = None
    content_sha256: str | None = None
    bytes: int = 0
    received: int = 0
    accepted: int = 0
    rejected: int = 0
    position: int | None = None
    staged: list[dict[str, Any]] | None = None
    rejects_key: str | None = None
    rejects: list[dict[str, Any]] | None = None
    problems: list[dict[str, Any]] | None = None
    snapshot: str | None = None
    validated_at: datetime | None = None
    committed_at: datetime | None = None
    lease_until: datetime | None = None


COLUMNS = tuple(column.name for column in pushes.columns)


def _record(row: sa.Row[Any]) -> PushRecord:
    return PushRecord(**row._mapping)


def insert_push(session: Session, record: PushRecord) -> None:
    """Keeps a new push. Raises IntegrityError when its Idempotency-Key is used."""
    insert_pushes(session, [(record, None)])


def insert_pushes(session: Session, records: Sequence[tuple[PushRecord, bytes | None]]) -> None:
    """Keeps new pushes, with the staged bytes of the small ones. Raises IntegrityError for a used Idempotency-Key."""
    values = [{name: getattr(record, name) for name in COLUMNS} for record, _ in records]
    first = next_position()
    for place, item in enumerate(values):
        if item["state"] == "validated":
            item["position"] = first + place
    session.execute(sa.insert(pushes), values)
    staged = [{"push": record.id, "data": data} for record, data in records if data is not None]
    if staged:
        session.execute(sa.insert(staged_bytes), staged)


def next_position() -> int:
    """Grows with time, so that pushes sent one after the other are committed in that order."""
    return time.time_ns()


def advance(session: Session, push_id: str, state: State, **values: Any) -> bool:
    """Brings a push into a state that may follow its own; False when it is in another one by now."""
    if state == "validated":
        values["position"] = next_position()
    changed = sa.update(pushes).where(pushes.c.id == push_id, pushes.c.state.in_(sources_of(state)))
    result = session.execute(changed.values(state=state, **values))
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def get_push(session: Session, push_id: str) -> PushRecord | None:
    """A push by its id."""
    row = session.execute(sa.select(pushes).where(pushes.c.id == push_id)).one_or_none()
    return None if row is None else _record(row)


def find_by_key(session: Session, owner: str, dataset: str, key: str) -> PushRecord | None:
    """The push that has used an Idempotency-Key."""
    wanted = sa.select(pushes).where(
        pushes.c.owner == owner, pushes.c.dataset == dataset, pushes.c.idempotency_key == key
    )
    row = session.execute(wanted).one_or_none()
    return None if row is None else _record(row)


def list_pushes(
    session: Session,
    *,
    owner: str | None,
    dataset: str | None = None,
    state: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[PushRecord]:
    """Pushes, newest first, those older than `before`; owner None means everybody's."""
    wanted = sa.select(pushes).order_by(pushes.c.id.desc()).limit(limit)
    for column, value in ((pushes.c.owner, owner), (pushes.c.dataset, dataset), (pushes.c.state, state)):
        if value is not None:
            wanted = wanted.where(column == value)
    if before is not None:
        wanted = wanted.where(pushes.c.id < before)
    return [_record(row) for row in session.execute(wanted)]


def waiting_datasets(session: Session) -> list[str]:
    """Data sets with validated pushes."""
    wanted = sa.select(pushes.c.dataset).where(pushes.c.state == "validated").distinct()
    return list(session.execute(wanted).scalars())


def backlog(session: Session) -> list[dict[str, Any]]:
    """Data sets with pushes that wait for a commit: dataset, pushes, rows, oldest_at; the longest wait first."""
    oldest = sa.func.min(pushes.c.validated_at)
    wanted = (
        sa.select(
            pushes.c.dataset,
            sa.func.count().label("pushes"),
            sa.func.sum(pushes.c.accepted).label("rows"),
            oldest.label("oldest_at"),
        )
        .where(pushes.c.state == "validated")
        .group_by(pushes.c.dataset)
        .order_by(oldest)
    )
    return [dict(row) for row in session.execute(wanted).mappings()]


def queue(session: Session, dataset: str, limit: int) -> list[PushRecord]:
    """Validated pushes of a data set in the order in which they are to be applied."""
    wanted = (
        sa.select(pushes)
        .where(pushes.c.dataset == dataset, pushes.c.state == "validated")
        .order_by(pushes.c.position, pushes.c.id)
        .limit(limit)
    )
    return [_record(row) for row in session.execute(wanted)]


def load_staged_bytes(session: Session, push_ids: Sequence[str]) -> dict[str, bytes]:
    """Bytes of small pushes by push."""
    wanted = sa.select(staged_bytes.c.push, staged_bytes.c.data).where(staged_bytes.c.push.in_(push_ids))
    return {row.push: row.data for row in session.execute(wanted)}


def drop_staged_bytes(session: Session, push_ids: Sequence[str]) -> None:
    """Forgets bytes that a commit has taken."""
    session.execute(sa.delete(staged_bytes).where(staged_bytes.c.push.in_(push_ids)))


def mark_committed(session: Session, push_ids: Sequence[str], snapshot: str | None, at: datetime) -> int:
    """Marks validated pushes as part of a snapshot; returns how many were still waiting."""
    changed = (
        sa.update(pushes)
        .where(pushes.c.id.in_(push_ids), pushes.c.state.in_(sources_of("committed")))
        .values(state="committed", snapshot=snapshot, committed_at=at)
    )
    return int(session.execute(changed).rowcount)  # type: ignore[attr-defined]


def renew_leases(session: Session, push_ids: Sequence[str], until: datetime) -> None:
    """Says that these pushes are still coming in."""
    changed = sa.update(pushes).where(pushes.c.id.in_(push_ids), pushes.c.state == "received")
    session.execute(changed.values(lease_until=until))


def interrupted(session: Session, now: datetime) -> list[PushRecord]:
    """Pushes that were coming in when their process ended."""
    wanted = sa.select(pushes).where(pushes.c.state == "received", pushes.c.lease_until < now)
    return [_record(row) for row in session.execute(wanted)]


def states_of(session: Session, push_ids: Sequence[str]) -> dict[str, str]:
    """States by push id; unknown ids are left out."""
    wanted = sa.select(pushes.c.id, pushes.c.state).where(pushes.c.id.in_(push_ids))
    return {row.id: row.state for row in session.execute(wanted)}


def count_by_state(session: Session) -> dict[str, int]:
    """How many pushes are in each state."""
    wanted = sa.select(pushes.c.state, sa.func.count()).group_by(pushes.c.state)
    return {row[0]: row[1] for row in session.execute(wanted)}
