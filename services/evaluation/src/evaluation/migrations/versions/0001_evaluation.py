"""Clusters, runs and computed values, reported values with evidence, factory assessments, choices and history."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import BigId, UtcDateTime, create_event_tables, drop_event_tables

revision = "0001"
down_revision = None

OPEN = "state IN ('draft', 'submitted', 'returned')"


def upgrade() -> None:
    """Creates the tables of evaluation."""
    create_event_tables(op)
    op.create_table(
        "cluster",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("region", sa.String(6)),
        sa.Column("chain", sa.String(64)),
        sa.Column("synthetic", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "recompute",
        sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("last", UtcDateTime, nullable=False),
        sa.Column("datasets", sa.JSON, nullable=False),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("versions", sa.JSON),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("without_value", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("requested_by", sa.String(128), nullable=False),
        sa.Column("requested_org", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
    )
    op.create_index("run_state", "run", ["state", "id"])
    op.create_index("run_cluster", "run", ["cluster", "id"])
    op.create_table(
        "query_text",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("sql", sa.Text, nullable=False),
    )
    op.create_table(
        "computed_value",
        sa.Column("seq", BigId, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(40), nullable=False),
        sa.Column("computation", sa.String(64), nullable=False),
        sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("numerator", sa.Float),
        sa.Column("denominator", sa.Float),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("reason_code", sa.String(64)),
        sa.Column("reason", sa.Text),
        sa.Column("as_of", sa.String(32)),
        sa.Column("query_digest", sa.String(64)),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("computed_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("run", "computation", "period", name="computed_value_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("computed_value_newest", "computed_value", ["cluster", "computation", "period", "seq"])
    op.create_table(
        "reported_value",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("set_id", sa.String(64), nullable=False),
        sa.Column("indicator", sa.String(64), nullable=False),
        sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("text", sa.Text),
        sa.Column("points", sa.Float),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("org", sa.String(64), nullable=False),
        sa.Column("authors", sa.JSON, nullable=False),
        sa.Column("submitter", sa.String(128)),
        sa.Column("submitted_at", UtcDateTime),
        sa.Column("reviewer", sa.String(128)),
        sa.Column("reviewed_at", UtcDateTime),
        sa.Column("review_note", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("reported_value_place", "reported_value", ["cluster", "set_id", "indicator", "period", "id"])
    op.create_index("reported_value_state", "reported_value", ["state", "id"])
    op.create_index(
        "reported_value_open",
        "reported_value",
        ["set_id", "indicator", "cluster", "period"],
        unique=True,
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(40), nullable=False),
        sa.Column("criterion", sa.String(64)),
        sa.Column("filename", sa.String(200), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("object_key", sa.String(200), nullable=False),
        sa.Column("uploaded_by", sa.String(128), nullable=False),
        sa.Column("uploaded_at", UtcDateTime, nullable=False),
    )
    op.create_index("evidence_subject", "evidence", ["subject_kind", "subject_id", "id"])
    op.create_table(
        "assessment",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("org", sa.String(64), nullable=False),
        sa.Column("org_name", sa.String(200), nullable=False),
        sa.Column("year", sa.String(4), nullable=False),
        sa.Column("marks", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("authors", sa.JSON, nullable=False),
        sa.Column("submitter", sa.String(128)),
        sa.Column("submitted_at", UtcDateTime),
        sa.Column("reviewer", sa.String(128)),
        sa.Column("reviewed_at", UtcDateTime),
        sa.Column("review_note", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("org", "year", name="assessment_once_a_year"),
    )
    op.create_table(
        "target",
        sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("set_id", sa.String(64), primary_key=True),
        sa.Column("indicator", sa.String(64), primary_key=True),
        sa.Column("period", sa.String(16), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("updated_by", sa.String(128), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "choice",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_by", sa.String(128), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "history",
        sa.Column("seq", BigId, primary_key=True, autoincrement=True),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("by_name", sa.String(200), nullable=False),
        sa.Column("org", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("history_subject", "history", ["subject_kind", "subject_id", "seq"])


def downgrade() -> None:
    """Removes the tables; what people reported is lost with them."""
    for table in (
        "history",
        "choice",
        "target",
        "assessment",
        "evidence",
        "reported_value",
        "computed_value",
        "query_text",
        "run",
        "recompute",
        "cluster",
    ):
        op.drop_table(table)
    drop_event_tables(op)
