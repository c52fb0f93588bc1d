"""The audit chain as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from identity.domain.chain import GENESIS
from identity.store.tables import audit_head, audit_records

BATCH = 2000
# What this transaction knows of the head, which it holds the lock of.
HEAD = "audit_head"
# Built once: an audited platform appends a record for every write.
_INSERT = sa.insert(audit_records)
_MOVE = (
    sa.update(audit_head).where(audit_head.c.id == 1).values(seq=sa.bindparam("to_seq"), hash=sa.bindparam("to_hash"))
)


def lock_head(session: Session) -> tuple[int, str]:
    """(sequence, hash) of the last record, locked until the transaction ends."""
    if HEAD in session.info:
        seq, last = session.info[HEAD]
        return seq, last
    row = session.execute(sa.select(audit_head).where(audit_head.c.id == 1).with_for_update()).first()
    if row is None:
        session.execute(sa.insert(audit_head).values(id=1, seq=0, hash=GENESIS))
        return 0, GENESIS
    return row.seq, row.hash


def append(session: Session, record: dict[str, Any]) -> None:
    """Stores a record and moves the head."""
    session.execute(_INSERT, record)
    session.execute(_MOVE, {"to_seq": record["seq"], "to_hash": record["hash"]})
    session.info[HEAD] = (record["seq"], record["hash"])


def head(session: Session) -> tuple[int, str]:
    """(sequence, hash) of the last record."""
    row = session.execute(sa.select(audit_head).where(audit_head.c.id == 1)).first()
    return (row.seq, row.hash) if row else (0, GENESIS)


def in_order(session: Session) -> Iterator[dict[str, Any]]:
    """Every record from the first."""
    after = 0
    while True:
        query = sa.select(audit_records).where(audit_records.c.seq > after).order_by(audit_records.c.seq).limit(BATCH)
        rows = session.execute(query).mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < BATCH:
            return
        after = rows[-1]["seq"]


def page(
    session: Session, *, org: str | None, before: int | None, limit: int, **equal: str | None
) -> list[dict[str, Any]]:
    """Records newest first; `equal` restricts columns to a value, `since` and `until` the time."""
    query = sa.select(audit_records)
    if org is not None:
        query = query.where(audit_records.c.org == org)
    if before is not None:
        query = query.where(audit_records.c.seq < before)
    since, until = equal.pop("since", None), equal.pop("until", None)
    if since:
        query = query.where(audit_records.c.at >= since)
    if until:
        query = query.where(audit_records.c.at < until)
    for name, value in equal.items():
        if value:
            query = query.where(audit_records.c[name] == value)
    rows = session.execute(query.order_by(audit_records.c.seq.desc()).limit(limit)).mappings().all()
    return [dict(row) for row in rows]
