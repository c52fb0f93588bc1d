"""Reading and writing transfers and the attempts that wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from compute_scheduler.domain.transfers import ALIVE
from compute_scheduler.store.network_tables import transfer_users, transfers

Row = dict[str, Any]
KEY = ("dataset", "version", "view", "centre")
_alive = transfers.c.state.in_(ALIVE)


def insert(session: Session, row: Row) -> None:
    """Adds a transfer."""
    session.execute(sa.insert(transfers).values(row))


def save(session: Session, transfer: str, **values: Any) -> None:
    """Changes columns of a transfer."""
    session.execute(sa.update(transfers).where(transfers.c.id == transfer).values(values))


def add_sent(session: Session, transfer: str, count: int) -> None:
    """Adds to what was handed out for a transfer."""
    one = transfers.c.id == transfer
    session.execute(sa.update(transfers).where(one).values(sent_bytes=transfers.c.sent_bytes + count))


def one(session: Session, transfer: str, *, lock: bool = False) -> Row | None:
    """A transfer."""
    query = sa.select(transfers).where(transfers.c.id == transfer)
    found = _rows(session, query.with_for_update() if lock else query)
    return found[0] if found else None


def underway(session: Session, key: Mapping[str, str]) -> Row | None:
    """The transfer of a version's view to a centre that is on its way, locked."""
    is_it = sa.and_(*[transfers.c[name] == key[name] for name in KEY])
    found = _rows(session, sa.select(transfers).where(is_it & _alive).with_for_update())
    return found[0] if found else None


def alive(session: Session, *, lock: bool = False) -> list[Row]:
    """Every transfer on its way, in the order in which they were booked."""
    query = sa.select(transfers).where(_alive).order_by(transfers.c.id)
    return _rows(session, query.with_for_update() if lock else query)


def of_attempts(session: Session, attempts: Iterable[str]) -> dict[str, list[Row]]:
    """By attempt the transfers that it has waited for."""
    wanted = sorted(set(attempts))
    found: dict[str, list[Row]] = {name: [] for name in wanted}
    if wanted:
        joined = sa.select(transfers, transfer_users.c.attempt).join(transfer_users)
        query = joined.where(transfer_users.c.attempt.in_(wanted)).order_by(transfers.c.id)
        for row in _rows(session, query):
            found[row.pop("attempt")].append(row)
    return found


def add_users(session: Session, transfer: str, attempts: Iterable[str], org: str) -> None:
    """Attempts that wait for it."""
    rows = [{"transfer": transfer, "attempt": name, "org": org, "gone": False} for name in attempts]
    session.execute(sa.insert(transfer_users), rows)


def users(session: Session, ids: Iterable[str], org: str | None = None) -> dict[str, list[str]]:
    """By transfer the attempts that still need it, of one organisation or of all."""
    wanted = sorted(set(ids))
    found: dict[str, list[str]] = {name: [] for name in wanted}
    if wanted:
        is_one = transfer_users.c.transfer.in_(wanted) & sa.not_(transfer_users.c.gone)
        if org is not None:
            is_one &= transfer_users.c.org == org
        for row in session.execute(sa.select(transfer_users).where(is_one).order_by(transfer_users.c.attempt)):
            found[row.transfer].append(row.attempt)
    return found


def leave(session: Session, attempts: Iterable[str]) -> list[str]:
    """Notes that attempts need no transfer any more; returns the transfers that they had waited for."""
    wanted = sorted(set(attempts))
    is_one = transfer_users.c.attempt.in_(wanted)
    session.execute(sa.update(transfer_users).where(is_one).values(gone=True))
    query = sa.select(transfer_users.c.transfer).where(is_one).distinct()
    return sorted(session.execute(query).scalars())


def page(session: Session, *, org: str | None, state: str, centre: str, before: str, limit: int) -> list[Row]:
    """Transfers, the newest first. org: only those of an organisation's jobs. state: `alive` for those on their way."""
    query = sa.select(transfers).order_by(transfers.c.id.desc()).limit(limit)
    if org is not None:
        theirs = sa.select(transfer_users.c.transfer).where(transfer_users.c.org == org)
        query = query.where((transfers.c.org == org) | transfers.c.id.in_(theirs))
    if state:
        query = query.where(_alive if state == "alive" else transfers.c.state == state)
    if centre:
        query = query.where(transfers.c.centre == centre)
    if before:
        query = query.where(transfers.c.id < before)
    return _rows(session, query)


def is_of(session: Session, transfer: str, org: str) -> bool:
    """Whether a job of the organisation has waited for it."""
    mine = (transfer_users.c.transfer == transfer) & (transfer_users.c.org == org)
    return session.execute(sa.select(sa.literal(1)).where(mine).limit(1)).first() is not None


def handed_out(session: Session, since: datetime) -> list[Row]:
    """{path, sent_bytes, ended_at} of transfers that are on their way or have ended since a moment."""
    columns = (transfers.c.path, transfers.c.sent_bytes, transfers.c.ended_at)
    is_late = transfers.c.ended_at.is_(None) | (transfers.c.ended_at >= since)
    return _rows(session, sa.select(*columns).where(is_late & (transfers.c.sent_bytes > 0)))


def counts(session: Session) -> dict[str, int]:
    """How many transfers on their way are in each state."""
    query = sa.select(transfers.c.state, sa.func.count()).where(_alive).group_by(transfers.c.state)
    return {str(state): int(number) for state, number in session.execute(query)}


def prune(session: Session, before: datetime) -> None:
    """Forgets transfers that ended before a moment."""
    old = sa.select(transfers.c.id).where(transfers.c.ended_at < before)
    session.execute(sa.delete(transfer_users).where(transfer_users.c.transfer.in_(old)))
    session.execute(sa.delete(transfers).where(transfers.c.ended_at < before))


def _rows(session: Session, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in session.execute(query).mappings()]
