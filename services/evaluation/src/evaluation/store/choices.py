"""Targets, weights, rules, and the history of what people did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.store.tables import choices, history, targets

Row = sa.Row[Any]


def choice_row(session: Session, choice: str) -> Row | None:
    """What was chosen instead of the default; None while nobody chose."""
    return session.execute(sa.select(choices).where(choices.c.id == choice).with_for_update()).first()


def save_choice(session: Session, choice: str, content: Any, by: str, now: datetime) -> int:
    """Stores a choice under the next version and returns the version."""
    known = choice_row(session, choice)
    values = {"content": content, "updated_by": by, "updated_at": now}
    if known is None:
        session.execute(sa.insert(choices).values(id=choice, version=1, **values))
        return 1
    version = int(known.version) + 1
    session.execute(sa.update(choices).where(choices.c.id == choice).values(version=version, **values))
    return version


def target_rows(session: Session, cluster: str, set_id: str, indicator: str | None = None) -> Sequence[Row]:
    """Targets of a cluster in a set."""
    query = sa.select(targets).where(targets.c.cluster == cluster, targets.c.set_id == set_id)
    if indicator:
        query = query.where(targets.c.indicator == indicator)
    return session.execute(query.order_by(targets.c.indicator, targets.c.period)).all()


def save_target(session: Session, key: dict[str, str], value: float | None, by: str, now: datetime) -> float | None:
    """Sets a target, or removes it with None; returns the one before."""
    where = sa.and_(*(targets.c[name] == part for name, part in key.items()))
    before = session.execute(sa.select(targets.c.value).where(where).with_for_update()).scalar()
    if value is None:
        session.execute(sa.delete(targets).where(where))
    elif before is None:
        session.execute(sa.insert(targets).values(**key, value=value, updated_by=by, updated_at=now))
    else:
        session.execute(sa.update(targets).where(where).values(value=value, updated_by=by, updated_at=now))
    return before


def add_history(session: Session, values: dict[str, Any]) -> None:
    """Remembers what somebody did."""
    session.execute(sa.insert(history).values(values))


def history_of(session: Session, kind: str, subject: str, limit: int = 200) -> Sequence[Row]:
    """What was done to something, newest first."""
    query = sa.select(history).where(history.c.subject_kind == kind, history.c.subject_id == subject)
    return session.execute(query.order_by(history.c.seq.desc()).limit(limit)).all()
