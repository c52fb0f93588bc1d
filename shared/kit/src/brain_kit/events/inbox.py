"""The inbox: which events a group has handled, so that a second delivery changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.clock import utc_now
from brain_kit.database.bulk import list_parameter, rows_of_list
from brain_kit.database.types import UtcDateTime

# One statement for the whole batch: a statement a row costs ten times as much. Where another member of the group has
# entered an id and not yet committed, it waits for that member and then leaves the id out.
_ADMIT = """
    INSERT INTO inbox ("group", event_id, at) SELECT :group_name, value, :at FROM {ids} WHERE true
    ON CONFLICT DO NOTHING RETURNING event_id
"""


def admit(session: Session, group: str, event_ids: Sequence[str]) -> set[str]:
    """Enter the ids into the inbox of the group in the caller's transaction; returns those that were not there."""
    query = _admit(rows_of_list(session, "ids", "text"))
    ids = list_parameter(session, list(dict.fromkeys(event_ids)))
    return set(session.execute(query, {"group_name": group, "ids": ids, "at": utc_now()}).scalars())


@cache
def _admit(ids: str) -> sa.TextClause:
    return sa.text(_ADMIT.format(ids=ids)).bindparams(sa.bindparam("at", type_=UtcDateTime))
