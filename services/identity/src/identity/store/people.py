"""Organisations, users and keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from identity.store.tables import keys, organisations, users

Row = sa.Row[Any]


def insert_organisation(session: Session, **values: Any) -> bool:
    """Stores an organisation; False when its USCC is taken."""
    return _inserted(session, organisations, values)


def organisation(session: Session, uscc: str, *, lock: bool = False) -> Row | None:
    """An organisation by USCC, optionally locked for a change of what belongs to it."""
    query = sa.select(organisations).where(organisations.c.uscc == uscc)
    return session.execute(query.with_for_update() if lock else query).first()


def update_organisation(session: Session, uscc: str, **values: Any) -> None:
    """Changes fields of an organisation."""
    session.execute(sa.update(organisations).where(organisations.c.uscc == uscc).values(**values))


def list_organisations(session: Session, *, only: str | None, after: str, limit: int, kind: str | None) -> list[Row]:
    """Organisations by USCC after a USCC; `only` restricts to one."""
    query = sa.select(organisations).where(organisations.c.uscc > after)
    if only is not None:
        query = query.where(organisations.c.uscc == only)
    if kind is not None:
        query = query.where(organisations.c.kind == kind)
    return list(session.execute(query.order_by(organisations.c.uscc).limit(limit)).all())


def any_organisation(session: Session) -> bool:
    """Whether there is an organisation at all."""
    return session.execute(sa.select(organisations.c.uscc).limit(1)).first() is not None


def insert_user(session: Session, **values: Any) -> bool:
    """Stores a user; False when the login is taken."""
    return _inserted(session, users, values)


def user_by_login(session: Session, login: str) -> Row | None:
    """A user by login name."""
    return session.execute(sa.select(users).where(users.c.login == login)).first()


def user(session: Session, user_id: str) -> Row | None:
    """A user by id."""
    return session.execute(sa.select(users).where(users.c.id == user_id)).first()


def update_user(session: Session, user_id: str, **values: Any) -> None:
    """Changes fields of a user."""
    session.execute(sa.update(users).where(users.c.id == user_id).values(**values))


def list_users(session: Session, *, org: str | None, after: str, limit: int) -> list[Row]:
    """Users by id after an id."""
    query = sa.select(users).where(users.c.id > after)
    if org is not None:
        query = query.where(users.c.org == org)
    return list(session.execute(query.order_by(users.c.id).limit(limit)).all())


def insert_key(session: Session, **values: Any) -> None:
    """Stores a key."""
    session.execute(sa.insert(keys).values(**values))


def key(session: Session, key_id: str, *, lock: bool = False) -> Row | None:
    """A key by id."""
    query = sa.select(keys).where(keys.c.id == key_id)
    return session.execute(query.with_for_update() if lock else query).first()


def update_key(session: Session, key_id: str, **values: Any) -> None:
    """Changes fields of a key."""
    session.execute(sa.update(keys).where(keys.c.id == key_id).values(**values))


def mark_keys_used(session: Session, used: Mapping[str, datetime]) -> None:
    """Notes when keys were last used, by their ids."""
    changed = sa.update(keys).where(keys.c.id == sa.bindparam("key")).values(last_used_at=sa.bindparam("used_at"))
    session.connection().execute(changed, [{"key": key, "used_at": at} for key, at in sorted(used.items())])


def expired_keys(session: Session, now: datetime, limit: int) -> list[Row]:
    """Keys whose time is over and of which nobody was told yet."""
    query = sa.select(keys).where(keys.c.expires_at <= now, keys.c.revoked_at.is_(None), sa.not_(keys.c.expiry_told))
    return list(session.execute(query.order_by(keys.c.id).limit(limit).with_for_update()).all())


def live_keys(session: Session, org: str, name: str, now: datetime) -> list[Row]:
    """Keys of one name that still work, the oldest first."""
    query = sa.select(keys).where(
        keys.c.org == org,
        keys.c.name == name,
        keys.c.revoked_at.is_(None),
        sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > now),
    )
    return list(session.execute(query.order_by(keys.c.created_at, keys.c.id)).all())


def list_keys(session: Session, *, org: str | None, after: str, limit: int) -> list[Row]:
    """Keys by id after an id."""
    query = sa.select(keys).where(keys.c.id > after)
    if org is not None:
        query = query.where(keys.c.org == org)
    return list(session.execute(query.order_by(keys.c.id).limit(limit)).all())


def _inserted(session: Session, table: sa.Table, values: dict[str, Any]) -> bool:
    """False when somebody else stored the same key a moment before."""
    try:
        with session.begin_nested():
            session.execute(sa.insert(table).values(**values))
    except sa.exc.IntegrityError:
        return False
    return True
