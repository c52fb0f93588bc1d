"""The four tables that every service with events has: outbox, inbox, consumer_offset, dead_letter."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from brain_kit.database.types import BigId, UtcDateTime

_unpublished = sa.text("published_at IS NULL")


def event_tables(metadata: sa.MetaData) -> None:
    """Add the event tables to the metadata of a service (first layout, the one `create_event_tables` creates)."""
    sa.Table(
        "outbox",
        metadata,
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(120), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("traceparent", sa.String(64)),
        sa.Column("published_at", UtcDateTime),
        sa.Index("outbox_topic", "topic", "id"),
        sa.Index("outbox_unpublished", "id", postgresql_where=_unpublished, sqlite_where=_unpublished),
        # Readers keep the last id they saw: an id must never come back after its row was removed.
        sqlite_autoincrement=True,
    )
    sa.Table(
        "inbox",
        metadata,
        sa.Column("group", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False, index=True),
    )
    sa.Table(
        "consumer_offset",
        metadata,
        sa.Column("group", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("topic", sa.String(120), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    sa.Table(
        "dead_letter",
        metadata,
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("group", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(120), nullable=False),
        sa.Column("event", sa.JSON, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Index("dead_letter_state", "group", "state", "id"),
        sqlite_autoincrement=True,
    )


def create_event_tables(op: Any) -> None:
    """Create the event tables from inside a migration: `create_event_tables(op)` with Alembic's `op`."""
    metadata = sa.MetaData()
    event_tables(metadata)
    metadata.create_all(op.get_bind(), checkfirst=False)


def drop_event_tables(op: Any) -> None:
    """Remove what `create_event_tables` created, for the downgrade of the same migration."""
    metadata = sa.MetaData()
    event_tables(metadata)
    metadata.drop_all(op.get_bind(), checkfirst=False)


_metadata = sa.MetaData()
event_tables(_metadata)
OUTBOX = _metadata.tables["outbox"]
INBOX = _metadata.tables["inbox"]
CONSUMER_OFFSET = _metadata.tables["consumer_offset"]
DEAD_LETTER = _metadata.tables["dead_letter"]
