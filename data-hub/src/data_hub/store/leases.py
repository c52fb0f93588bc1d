"""Leases of tables: one committer at a time works on a table. Safety does not rest on them: commits are conditional."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data_hub.store.tables import table_leases


def take_lease(session: Session, dataset: str, holder: str, now: datetime, lasting: timedelta) -> bool:
    """Takes or renews the lease of a table; False while another holder has it."""
    row = session.execute(sa.select(table_leases).where(table_leases.c.dataset == dataset)).one_or_none()
    if row is None:
        values = {"dataset": dataset, "holder": holder, "epoch": 1, "expires_at": now + lasting}
        session.execute(sa.insert(table_leases).values(values))
        return True
    if row.holder != holder and row.expires_at > now:
        return False
    changed = sa.update(table_leases).where(
        table_leases.c.dataset == dataset, table_leases.c.holder == row.holder, table_leases.c.epoch == row.epoch
    )
    epoch = row.epoch + (row.holder != holder)
    result = session.execute(changed.values(holder=holder, epoch=epoch, expires_at=now + lasting))
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def drop_leases(session: Session, holder: str) -> None:
    """Gives back every lease of a holder, so that the next one need not wait."""
    session.execute(sa.delete(table_leases).where(table_leases.c.holder == holder))
