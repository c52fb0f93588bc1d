"""Versions of data sets that evaluation keeps readable, since values that are shown came from them."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "version_pin",
        sa.Column("dataset", sa.String(130), primary_key=True),
        sa.Column("version", sa.String(20), primary_key=True),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("pin", sa.String(40)),
        sa.Column("asked_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Removes the table; the pins stay in the data hub until somebody removes them."""
    op.drop_table("version_pin")
