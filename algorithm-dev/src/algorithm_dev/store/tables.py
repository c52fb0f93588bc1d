"""Tables of algorithm-dev."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import BigId, UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

components = sa.Table(
    "component",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("owner", sa.String(18), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
)

# `edit` counts the changes of a row: with the digest it is the entity tag.
versions = sa.Table(
    "version",
    metadata,
    sa.Column("component", sa.String(63), sa.ForeignKey("component.name"), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("card", sa.JSON, nullable=False),
    sa.Column("search_text", sa.Text, nullable=False),
    sa.Column("edit", sa.Integer, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_by_name", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("submitted_by", sa.String(64)),
    sa.Column("submitted_by_name", sa.String(200)),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("decided_by", sa.String(64)),
    sa.Column("decided_by_name", sa.String(200)),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("reason", sa.Text),
    sa.Column("golden", sa.JSON),
    sa.Column("broken", sa.Text),
    sa.Column("broken_at", UtcDateTime),
    sa.Index("version_state", "state"),
)

# Which organisation brought a file: knowing a digest is no right to the file.
artefacts = sa.Table(
    "artefact",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

aliases = sa.Table(
    "alias",
    metadata,
    sa.Column("component", sa.String(63), sa.ForeignKey("component.name"), primary_key=True),
    sa.Column("alias", sa.String(40), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("edit", sa.Integer, nullable=False),
    sa.Column("moved_at", UtcDateTime, nullable=False),
)

# Append-only: who moved an alias, from where to where, when and why.
alias_history = sa.Table(
    "alias_history",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("component", sa.String(63), nullable=False),
    sa.Column("alias", sa.String(40), nullable=False),
    sa.Column("from_version", sa.String(64)),
    sa.Column("to_version", sa.String(64)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("moved_by", sa.String(64), nullable=False),
    sa.Column("moved_by_name", sa.String(200), nullable=False),
    sa.Column("moved_by_org", sa.String(18), nullable=False),
    sa.Column("moved_at", UtcDateTime, nullable=False),
    sa.Index("alias_history_place", "component", "alias", "id"),
)

subscriptions = sa.Table(
    "subscription",
    metadata,
    sa.Column("component", sa.String(63), sa.ForeignKey("component.name"), primary_key=True),
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(64), nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("component", sa.String(63), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("milliseconds", sa.Float, nullable=False),
)

runs = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("component", sa.String(63), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("job_id", sa.String(64)),
    sa.Column("principal", sa.JSON, nullable=False),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("wake_at", UtcDateTime, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("run_waiting", "state", "wake_at"),
    sa.UniqueConstraint("org", "idempotency_key", name="run_repeat"),
)
