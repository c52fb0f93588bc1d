"""History of queries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the history."""
    op.create_table(
        "query_history",
        sa.Column("subject", sa.String(80), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("org", sa.String(32), nullable=False),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("datasets", sa.JSON, nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("problem", sa.String(64)),
        sa.Column("rows", sa.BigInteger),
        sa.Column("elapsed_ms", sa.Float, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("query_history_recent", "query_history", ["subject", "started_at", "id"])
    op.create_index("query_history_age", "query_history", ["started_at"])


def downgrade() -> None:
    """Removes the history."""
    op.drop_table("query_history")
