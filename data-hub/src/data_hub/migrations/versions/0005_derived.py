"""Objects of derived data sets on their way in, so that those of a process that died are found."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Creates the list."""
    op.create_table(
        "derived_staging",
        sa.Column("push", sa.String(40), primary_key=True),
        sa.Column("dataset", sa.String(130), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Removes the list."""
    op.drop_table("derived_staging")
