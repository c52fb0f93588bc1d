"""Sign-in sessions kept on the server; the browser holds an opaque random value only.

The table stores a hash of that value, and the tokens encrypted with a key derived from it: a copy of the
database alone neither signs anybody in nor reveals a token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from brain_kit.database import Database, UtcDateTime
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

metadata = sa.MetaData()

portal_session = sa.Table(
    "portal_session",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Column("renewing_until", UtcDateTime, nullable=True),
)

LIFETIME = timedelta(hours=12)
RENEWAL_CLAIM = timedelta(seconds=15)
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Session:
    """Who is signed in, and with which tokens. access_expires is a POSIX time in seconds."""

    subject: str
    name: str
    org: str
    org_name: str
    org_kind: str
    roles: tuple[str, ...]
    access_token: str
    refresh_token: str
    access_expires: float

    @property
    def is_operator(self) -> bool:
        """True for people who run the platform."""
        return "operator" in self.roles

    @property
    def is_government(self) -> bool:
        """True for people of operators and departments, who see every row."""
        return self.org_kind in ("operator", "department")

    def has(self, *roles: str) -> bool:
        """True when the person has one of the roles."""
        return bool(set(roles) & set(self.roles))


def new_secret() -> str:
    """A fresh 256-bit value for a cookie, in URL-safe base64."""
    return secrets.token_urlsafe(32)


def form_token(secret: str) -> str:
    """The CSRF token that belongs to a cookie value; it cannot be computed back into the cookie."""
    digest = hmac.new(secret.encode(), b"portal-form", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def form_token_matches(secret: str, token: str) -> bool:
    """Compare in constant time; an empty secret or token never matches."""
    return bool(secret) and hmac.compare_digest(form_token(secret).encode(), token.encode("utf-8", "replace"))


def _row_id(secret: str) -> str:
    return hashlib.sha256(b"portal-session:" + secret.encode()).hexdigest()


def _cipher(secret: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"portal-seal:" + secret.encode()).digest())


class SessionStore:
    """Sessions of the portal in its own database, shared by every process that serves it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, session: Session, now: datetime) -> str:
        """Keep a session for LIFETIME and return its secret, the value of the cookie. Drops expired sessions."""
        secret = new_secret()
        with self._database.transaction() as db:
            db.execute(sa.delete(portal_session).where(portal_session.c.expires_at <= now))
            db.execute(
                sa.insert(portal_session).values(
                    id=_row_id(secret), sealed=_seal(secret, session), created_at=now, expires_at=now + LIFETIME
                )
            )
        return secret

    def find(self, secret: str, now: datetime) -> Session | None:
        """The session of a cookie value, or None when it is unknown, expired or damaged."""
        if not secret:
            return None
        with self._database.reading() as db:
            query = sa.select(portal_session.c.sealed).where(
                portal_session.c.id == _row_id(secret), portal_session.c.expires_at > now
            )
            sealed = db.execute(query).scalar_one_or_none()
        return _unseal(secret, sealed) if sealed else None

    def claim_renewal(self, secret: str, now: datetime) -> bool:
        """True for the one caller who may spend the refresh token now; a claim left behind ends by itself.

        Identity ends a whole sign-in when a refresh token comes twice, and a page sends several requests at once.
        """
        table = portal_session
        is_free = sa.or_(table.c.renewing_until.is_(None), table.c.renewing_until < now)
        with self._database.transaction() as db:
            statement = sa.update(table).where(table.c.id == _row_id(secret), is_free)
            return bool(db.execute(statement.values(renewing_until=now + RENEWAL_CLAIM)).rowcount)  # type: ignore[attr-defined]

    def release_renewal(self, secret: str) -> None:
        """Give a claim back unused."""
        with self._database.transaction() as db:
            statement = sa.update(portal_session).where(portal_session.c.id == _row_id(secret))
            db.execute(statement.values(renewing_until=None))

    def replace(self, secret: str, session: Session) -> None:
        """Store renewed tokens and give the claim back; the end of the session stays as it was."""
        with self._database.transaction() as db:
            statement = sa.update(portal_session).where(portal_session.c.id == _row_id(secret))
            db.execute(statement.values(sealed=_seal(secret, session), renewing_until=None))

    def close(self, secret: str) -> None:
        """Forget a session; unknown ones are ignored."""
        with self._database.transaction() as db:
            db.execute(sa.delete(portal_session).where(portal_session.c.id == _row_id(secret)))


def _seal(secret: str, session: Session) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, json.dumps(asdict(session)).encode(), None)


def _unseal(secret: str, sealed: bytes) -> Session | None:
    try:
        plain = _cipher(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except InvalidTag:
        return None
    fields: dict[str, Any] = json.loads(plain)
    fields["roles"] = tuple(fields["roles"])
    return Session(**fields)
