"""Derived data sets on their way in."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data_hub.store.tables import derived_stagings


def open_staging(session: Session, push: str, dataset: str, until: datetime) -> None:
    """Says that objects of a push are about to be stored."""
    session.execute(sa.insert(derived_stagings).values(push=push, dataset=dataset, state="open", lease_until=until))


def close_staging(session: Session, push: str) -> bool:
    """Ends it, in the transaction that keeps the push; False when the lease was over and the objects are lost."""
    table = derived_stagings
    gone = session.execute(sa.delete(table).where(table.c.push == push, table.c.state == "open"))
    return bool(gone.rowcount == 1)  # type: ignore[attr-defined]


def doom_stagings(session: Session, now: datetime) -> list[tuple[str, str]]:
    """Those whose lease is over, as (push, data set); none of them can be closed any more."""
    table = derived_stagings
    session.execute(sa.update(table).where(table.c.lease_until < now).values(state="doomed"))
    found = session.execute(sa.select(table.c.push, table.c.dataset).where(table.c.state == "doomed"))
    return [(row.push, row.dataset) for row in found]


def forget_staging(session: Session, push: str) -> None:
    """Removes it once its objects are gone."""
    session.execute(sa.delete(derived_stagings).where(derived_stagings.c.push == push))
