"""Centres, tenants, jobs, attempts and what they leave."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import BigId, UtcDateTime, create_event_tables, drop_event_tables

revision = "0001"
down_revision = None

_alive = sa.text("state <> 'ended'")
_queued = sa.text("state = 'queued'")


def upgrade() -> None:
    """Creates the tables."""
    create_event_tables(op)
    op.create_table(
        "centre",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("capabilities", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("instance", sa.String(64)),
        sa.Column("session", sa.Integer, nullable=False),
        sa.Column("seen_at", UtcDateTime),
        sa.Column("lease_until", UtcDateTime),
    )
    op.create_table(
        "centre_key",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(120), primary_key=True),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("cores", sa.Float, nullable=False),
        sa.Column("memory_mb", sa.BigInteger, nullable=False),
        sa.Column("accelerators", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("load", sa.JSON, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "tenant",
        sa.Column("org", sa.String(18), primary_key=True),
        sa.Column("quota", sa.JSON),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("usage", sa.JSON, nullable=False),
        sa.Column("usage_as_of", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "job",
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
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("job", sa.String(40), sa.ForeignKey("job.id"), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
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
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("prepared_at", UtcDateTime, nullable=False),
        sa.Column("submitting_at", UtcDateTime),
        sa.Column("submitted_at", UtcDateTime),
        sa.Column("running_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
    )
    op.create_table(
        "accounting",
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
    )
    op.create_table(
        "file",
        sa.Column("org", sa.String(18), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "log_chunk",
        sa.Column("attempt", sa.String(48), primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
    )
    op.create_index("ix_centre_key_centre", "centre_key", ["centre"])
    op.create_index("ix_node_centre", "node", ["centre"])
    op.create_index("job_org", "job", ["org", "id"])
    op.create_index("job_state", "job", ["state", "id"])
    op.create_index("job_queue", "job", ["org", "priority", "id"], sqlite_where=_queued, postgresql_where=_queued)
    op.create_index("job_idempotency", "job", ["org", "idempotency_key"], unique=True)
    op.create_index("ix_attempt_job", "attempt", ["job"])
    op.create_index("attempt_alive", "attempt", ["job"], unique=True, sqlite_where=_alive, postgresql_where=_alive)
    op.create_index("attempt_of_centre", "attempt", ["centre", "state"], sqlite_where=_alive, postgresql_where=_alive)
    op.create_index("accounting_org", "accounting", ["org", "id"])
    op.create_index("ix_log_chunk_at", "log_chunk", ["at"])


def downgrade() -> None:
    """Removes the tables."""
    for table in (
        "lease",
        "log_chunk",
        "file",
        "accounting",
        "attempt",
        "job",
        "tenant",
        "node",
        "centre_key",
        "centre",
    ):
        op.drop_table(table)
    drop_event_tables(op)
