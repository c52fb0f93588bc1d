"""Signing keys, refresh tokens and attempts to sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from identity.store.tables import refresh_tokens, sign_in_attempts, signing_keys


def insert_signing_key(session: Session, **values: Any) -> None:
    """Stores a signing key."""
    session.execute(sa.insert(signing_keys).values(**values))


def all_signing_keys(session: Session) -> list[sa.Row[Any]]:
    """Signing keys, the newest first."""
    newest_first = signing_keys.c.created_at.desc(), signing_keys.c.kid.desc()
    return list(session.execute(sa.select(signing_keys).order_by(*newest_first)).all())


def retire_signing_keys(session: Session, except_kid: str, at: datetime) -> None:
    """All but one key sign until a time at the latest."""
    where = (signing_keys.c.kid != except_kid) & signing_keys.c.retired_at.is_(None)
    session.execute(sa.update(signing_keys).where(where).values(retired_at=at))


def delete_retired(session: Session, before: datetime) -> None:
    """Removes keys that retired before a time, when no token of theirs can be valid any more."""
    session.execute(sa.delete(signing_keys).where(signing_keys.c.retired_at < before))


def insert_refresh(session: Session, **values: Any) -> None:
    """Stores a refresh token by its hash."""
    session.execute(sa.insert(refresh_tokens).values(**values))


def refresh(session: Session, digest: str) -> sa.Row[Any] | None:
    """A refresh token by its hash, locked for a change."""
    query = sa.select(refresh_tokens).where(refresh_tokens.c.hash == digest).with_for_update()
    return session.execute(query).first()


def use_refresh(session: Session, digest: str, now: datetime) -> None:
    """Marks a refresh token as spent."""
    session.execute(sa.update(refresh_tokens).where(refresh_tokens.c.hash == digest).values(used_at=now))


def revoke_family(session: Session, family: str, now: datetime) -> None:
    """Ends every token of one sign-in."""
    where = (refresh_tokens.c.family == family) & refresh_tokens.c.revoked_at.is_(None)
    session.execute(sa.update(refresh_tokens).where(where).values(revoked_at=now))


def revoke_user(session: Session, user_id: str, now: datetime) -> None:
    """Ends every sign-in of a user."""
    where = (refresh_tokens.c.user_id == user_id) & refresh_tokens.c.revoked_at.is_(None)
    session.execute(sa.update(refresh_tokens).where(where).values(revoked_at=now))


def delete_expired(session: Session, now: datetime) -> None:
    """Removes refresh tokens whose time is over."""
    session.execute(sa.delete(refresh_tokens).where(refresh_tokens.c.expires_at < now))


def attempt(session: Session, login: str, now: datetime) -> sa.Row[Any]:
    """The attempts to sign in under a name, locked for a change, also when this is the first."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    first = insert(sign_in_attempts).values(login=login, failures=0, last_at=now).on_conflict_do_nothing()
    session.execute(first)
    query = sa.select(sign_in_attempts).where(sign_in_attempts.c.login == login).with_for_update()
    return session.execute(query).one()


def keep_attempt(session: Session, login: str, failures: int, now: datetime, locked_until: datetime | None) -> None:
    """Changes the attempts under a name."""
    values = {"failures": failures, "last_at": now, "locked_until": locked_until}
    session.execute(sa.update(sign_in_attempts).where(sign_in_attempts.c.login == login).values(**values))


def clear_attempts(session: Session, login: str) -> None:
    """Forgets the attempts under a name."""
    session.execute(sa.delete(sign_in_attempts).where(sign_in_attempts.c.login == login))


def delete_attempts(session: Session, before: datetime) -> None:
    """Forgets attempts of long ago."""
    session.execute(sa.delete(sign_in_attempts).where(sign_in_attempts.c.last_at < before))
