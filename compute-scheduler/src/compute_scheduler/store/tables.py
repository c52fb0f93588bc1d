"""Tables of compute-scheduler."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import BigId, UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

_alive = sa.text("state <> 'ended'")
_queued = sa.text("state = 'queued'")
_unposted = sa.text("NOT posted")

centres = sa.Table(
    "centre",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("capabilities", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # The agent that holds the centre: a new session fences whatever an older one still sends.
    sa.Column("instance", sa.String(64)),
    sa.Column("session", sa.Integer, nullable=False),
    sa.Column("seen_at", UtcDateTime),
    sa.Column("lease_until", UtcDateTime),
)

centre_keys = sa.Table(
    "centre_key",
    metadata,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

nodes = sa.Table(
    "node",
    metadata,
    sa.Column("id", sa.String(120), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False, index=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("cores", sa.Float, nullable=False),
    sa.Column("memory_mb", sa.BigInteger, nullable=False),
    sa.Column("accelerators", sa.JSON, nullable=False),
    # Where the members of a gang reach each other.
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("load", sa.JSON, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)

tenants = sa.Table(
    "tenant",
    metadata,
    sa.Column("org", sa.String(18), primary_key=True),
    # Resource name to amount; null: none was set and what the settings say holds.
    sa.Column("quota", sa.JSON),
    sa.Column("weight", sa.Float, nullable=False),
    # The group that it borrows from and lends to; how much of each resource at most (absent: no limit; null: none).
    sa.Column("quota_group", sa.String(40)),
    sa.Column("lending_limit", sa.JSON(none_as_null=True)),
    sa.Column("borrowing_limit", sa.JSON(none_as_null=True)),
    sa.Column("usage", sa.JSON, nullable=False),
    sa.Column("usage_as_of", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

quota_groups = sa.Table(
    "quota_group",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("parent", sa.String(40)),
    # What the group has beside the quotas of its members, and how much goes up to its parent and comes down.
    sa.Column("quota", sa.JSON, nullable=False),
    sa.Column("lending_limit", sa.JSON, nullable=False),
    sa.Column("borrowing_limit", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# How the plan weighs jobs; the newest is in force. Rows are added and never changed.
policy_versions = sa.Table(
    "policy_version",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("base", sa.String(40), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

jobs = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("reason_code", sa.String(40), nullable=False),
    sa.Column("predicted_start_at", UtcDateTime),
    sa.Column("priority", sa.String(8), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("returns", sa.Integer, nullable=False),
    sa.Column("preemptions", sa.Integer, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("outputs", sa.JSON, nullable=False),
    sa.Column("not_before_at", UtcDateTime),
    sa.Column("cancel_at", UtcDateTime),
    sa.Column("submitted_by", sa.String(64), nullable=False),
    sa.Column("submitted_at", UtcDateTime, nullable=False),
    sa.Column("queued_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Index("job_org", "org", "id"),
    sa.Index("job_state", "state", "id"),
    sa.Index("job_queue", "org", "priority", "id", sqlite_where=_queued, postgresql_where=_queued),
    sa.Index("job_idempotency", "org", "idempotency_key", unique=True),
)

attempts = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.String(48), primary_key=True),
    sa.Column("job", sa.String(40), sa.ForeignKey("job.id"), nullable=False, index=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    # Which member of a gang; 0 for a job that is none.
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("centre", sa.String(40), nullable=False),
    sa.Column("node", sa.String(120), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("nonce", sa.String(64)),
    sa.Column("outcome", sa.String(16)),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("usage", sa.JSON, nullable=False),
    sa.Column("log_bytes", sa.BigInteger, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    # What the whole job was expected to cost there and elsewhere, when its centre was chosen; null: nothing is known.
    sa.Column("site", sa.JSON(none_as_null=True)),
    sa.Column("cancel", sa.Boolean, nullable=False),
    # The job that it is stopped for.
    sa.Column("preempted_for", sa.String(40)),
    # What bringing its data to the centre was reckoned to take: bytes, seconds, yuan; null: it reads none.
    sa.Column("stage", sa.JSON),
    # What it holds of its node's accelerators (`binding.Holding`); null: nothing, or it is older than this column.
    sa.Column("accelerators", sa.JSON(none_as_null=True)),
    # The versions whose files are brought to it: dataset, version, view, transfer (null: they were there).
    sa.Column("data", sa.JSON),
    sa.Column("prepared_at", UtcDateTime, nullable=False),
    sa.Column("submitting_at", UtcDateTime),
    sa.Column("submitted_at", UtcDateTime),
    # When a member of a gang asked first; the others may come later.
    sa.Column("claimed_at", UtcDateTime),
    sa.Column("running_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("attempt_alive", "job", "rank", unique=True, sqlite_where=_alive, postgresql_where=_alive),
    sa.Index("attempt_of_centre", "centre", "state", sqlite_where=_alive, postgresql_where=_alive),
)

# One row an ended attempt; rows are added and never changed, but for the mark that the ledger has them.
segments = sa.Table(
    "accounting",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("attempt", sa.String(48), nullable=False, unique=True),
    sa.Column("job", sa.String(40), nullable=False),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("centre", sa.String(40), nullable=False),
    sa.Column("node", sa.String(120), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=False),
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("core_s", sa.Float, nullable=False),
    sa.Column("memory_mb_s", sa.Float, nullable=False),
    sa.Column("accelerator_s", sa.JSON, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    sa.Column("moved_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("posted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("accounting_org", "org", "id"),
    sa.Index("accounting_unposted", "id", sqlite_where=_unposted, postgresql_where=_unposted),
    sa.Index("accounting_ended", "ended_at"),
)

files = sa.Table(
    "file",
    metadata,
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

log_chunks = sa.Table(
    "log_chunk",
    metadata,
    sa.Column("attempt", sa.String(48), primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)

leases = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)
