"""Signing keys and refresh tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from identity.store.tables import refresh_tokens, signing_keys


def insert_signing_key(session: Session, **values: Any) -> None:
    """Stores a signing key."""
    session.execute(sa.insert(signing_keys).values(**values))


def all_signing_keys(session: Session) -> list[sa.Row[Any]]:
    """Signing keys, the newest first."""
    return list(session.execute(sa.select(signing_keys).order_by(signing_keys.c.created_at.desc())).all())


def retire_signing_keys(session: Session, except_kid: str, now: datetime) -> None:
    """Marks all but one key as no longer signing."""
    where = (signing_keys.c.kid != except_kid) & signing_keys.c.retired_at.is_(None)
    session.execute(sa.update(signing_keys).where(where).values(retired_at=now))


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
