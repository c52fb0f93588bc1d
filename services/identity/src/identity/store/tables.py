"""Tables of identity."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import BigId, UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

organisations = sa.Table(
    "organisation",
    metadata,
    sa.Column("uscc", sa.String(18), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("region", sa.String(6), nullable=False),
    sa.Column("plan", sa.String(40), nullable=False, server_default=""),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("synthetic", sa.Boolean, nullable=False),
    sa.Column("roles", sa.JSON(none_as_null=True)),  # what its keys and people get; null: the default of its kind
    sa.Column("created_at", UtcDateTime, nullable=False),
)
users = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("org", sa.String(18), sa.ForeignKey("organisation.uscc"), nullable=False, index=True),
    sa.Column("login", sa.String(60), nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
keys = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("org", sa.String(18), sa.ForeignKey("organisation.uscc"), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("expiry_told", sa.Boolean, nullable=False, server_default=sa.false()),
)
# By login name, also of names that nobody has: an answer must not tell which exist.
sign_in_attempts = sa.Table(
    "sign_in_attempt",
    metadata,
    sa.Column("login", sa.String(60), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False, index=True),
    sa.Column("locked_until", UtcDateTime),
)
signing_keys = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.String(40), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("public", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("retired_at", UtcDateTime),
)
refresh_tokens = sa.Table(
    "refresh_token",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("family", sa.String(40), nullable=False, index=True),
    sa.Column("user_id", sa.String(40), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)
audit_records = sa.Table(
    "audit_record",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(60), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("org", sa.String(18), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("action", sa.String(80), nullable=False, index=True),
    sa.Column("object", sa.String(400), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
# One row that the writer of the chain locks, so that two consumers never append after the same record.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", BigId, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
