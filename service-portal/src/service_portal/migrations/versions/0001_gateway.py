"""Plans, assignments and usage."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime, create_event_tables, drop_event_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the tables of the gateway."""
    create_event_tables(op)
    op.create_table(
        "plan",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("rate_per_s", sa.Float),
        sa.Column("burst", sa.Integer, nullable=False),
        sa.Column("monthly_requests", sa.BigInteger),
        sa.Column("monthly_bytes", sa.BigInteger),
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "plan_assignment",
        sa.Column("org", sa.String(18), primary_key=True),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("org", sa.String(18), primary_key=True),
        sa.Column("consumer", sa.String(60), primary_key=True),
        sa.Column("service", sa.String(60), primary_key=True),
        sa.Column("status_class", sa.String(3), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
        sa.Column("milliseconds", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Removes the tables of the gateway."""
    for table in ("usage", "plan_assignment", "plan"):
        op.drop_table(table)
    drop_event_tables(op)
