"""Advance reservations and maintenance windows."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "reservation",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("purpose", sa.String(500), nullable=False),
        sa.Column("start_at", UtcDateTime, nullable=False),
        sa.Column("end_at", UtcDateTime, nullable=False),
        sa.Column("priority", sa.String(8)),
        sa.Column("asked", sa.JSON),
        sa.Column("nodes", sa.JSON, nullable=False),
        sa.Column("running", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("began_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("idempotency_key", sa.String(200), unique=True),
    )
    op.create_index("ix_reservation_state", "reservation", ["state"])
    op.create_index("reservation_centre", "reservation", ["centre", "start_at"])
    op.create_table(
        "reservation_org",
        sa.Column("reservation", sa.String(40), sa.ForeignKey("reservation.id"), primary_key=True),
        sa.Column("org", sa.String(18), primary_key=True),
    )
    op.create_index("ix_reservation_org_org", "reservation_org", ["org"])


def downgrade() -> None:
    """Removes them."""
    op.drop_table("reservation_org")
    op.drop_table("reservation")
