"""The inbox: which events a group has handled, so that a second delivery changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.clock import utc_now
from brain_kit.database.tables import INBOX

_known = sa.select(INBOX.c.event_id).where(
    INBOX.c.group == sa.bindparam("g"), INBOX.c.event_id.in_(sa.bindparam("ids", expanding=True))
)


def admit(session: Session, group: str, event_ids: Sequence[str]) -> set[str]:
    """Enter the ids into the inbox of the group in the caller's transaction; returns those that were not there.

    Raises sqlalchemy.exc.IntegrityError when another member of the group commits one of them at the same moment:
    roll back and ask again.
    """
    ids = list(dict.fromkeys(event_ids))
    known = set(session.execute(_known, {"g": group, "ids": ids}).scalars())
    now = utc_now()
    rows: list[dict[str, Any]] = [
        {"group": group, "event_id": event_id, "at": now} for event_id in ids if event_id not in known
    ]
    if rows:
        session.execute(sa.insert(INBOX), rows)
    return {row["event_id"] for row in rows}
