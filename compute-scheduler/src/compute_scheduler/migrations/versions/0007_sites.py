"""What a job was expected to cost at the centre that was chosen, and elsewhere; carbon by the hour."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds both; earlier attempts have no terms."""
    op.add_column("attempt", sa.Column("site", sa.JSON))
    op.create_table(
        "carbon_series",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("zone", sa.String(100), nullable=False),
        sa.Column("start_at", UtcDateTime, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("source", sa.String(300), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_carbon_series_centre", "carbon_series", ["centre"])


def downgrade() -> None:
    """Removes both."""
    op.drop_table("carbon_series")
    op.drop_column("attempt", "site")
