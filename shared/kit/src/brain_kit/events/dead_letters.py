"""Dead letters: events that a group could not handle, kept in its database until somebody replays them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.clock import rfc3339, utc_now
from brain_kit.database.tables import DEAD_LETTER
from brain_kit.events import outbox, wakeup
from brain_kit.events.event import DEAD_SUFFIX, Event
from brain_kit.problems import Conflict, NotFound

DEAD = "dead"
QUEUED = "queued"
REPLAYED = "replayed"
MAX_ERROR_CHARS = 2000


class AlreadyReplayed(Conflict):
    """The dead letter was replayed before."""

    code = "already_replayed"
    title = "Already replayed"


def describe_error(error: BaseException) -> str:
    """The error in one line, cut to 2,000 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_ERROR_CHARS]


def bury(session: Session, group: str, event: Event, error: BaseException, attempts: int) -> None:
    """Keep the event as a dead letter of the group and tell so on `<topic>.dead`, in the caller's transaction."""
    members = event.cloudevent()
    row = {
        "group": group,
        "topic": event.topic,
        "event": members,
        "error": describe_error(error),
        "attempts": attempts,
        "at": utc_now(),
        "state": DEAD,
    }
    session.execute(sa.insert(DEAD_LETTER), [row])
    notice = {"group": group, "attempts": attempts, "error": row["error"], "event": members}
    outbox.write(session, event.topic + DEAD_SUFFIX, event.key, notice)


def listed(
    session: Session, *, group: str = "", state: str = "", after: int = 0, limit: int = 50
) -> list[dict[str, Any]]:
    """Dead letters by id, after the given id, as JSON members."""
    query = sa.select(DEAD_LETTER).where(DEAD_LETTER.c.id > after).order_by(DEAD_LETTER.c.id).limit(limit)
    if group:
        query = query.where(DEAD_LETTER.c.group == group)
    if state:
        query = query.where(DEAD_LETTER.c.state == state)
    return [dict(row._mapping) | {"at": rfc3339(row.at)} for row in session.execute(query)]


def locked(session: Session, dead_id: int) -> sa.Row[Any]:
    """The dead letter, locked until the end of the transaction. Raises NotFound, or AlreadyReplayed."""
    row = session.execute(sa.select(DEAD_LETTER).where(DEAD_LETTER.c.id == dead_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"没有编号为 {dead_id} 的死信", dead_letter=dead_id)
    if row.state == REPLAYED:
        raise AlreadyReplayed(f"死信 {dead_id} 已经重放过", dead_letter=dead_id)
    return row


def queue_replay(session: Session, dead_id: int) -> None:
    """Ask the group's consumer, in whichever process it runs, to replay. Raises NotFound, AlreadyReplayed."""
    locked(session, dead_id)
    set_state(session, dead_id, QUEUED)
    wakeup.on_commit(session)


def queued(session: Session, group: str) -> list[int]:
    """Ids of the group's letters that wait for their replay."""
    wanted = sa.and_(DEAD_LETTER.c.group == group, DEAD_LETTER.c.state == QUEUED)
    return list(session.execute(sa.select(DEAD_LETTER.c.id).where(wanted).order_by(DEAD_LETTER.c.id)).scalars())


def set_state(session: Session, dead_id: int, state: str, *, error: str | None = None) -> None:
    """Change the state; with an error, count one more failed attempt."""
    values: dict[str, Any] = {"state": state}
    if error is not None:
        values |= {"error": error, "attempts": DEAD_LETTER.c.attempts + 1}
    session.execute(sa.update(DEAD_LETTER).where(DEAD_LETTER.c.id == dead_id).values(**values))
