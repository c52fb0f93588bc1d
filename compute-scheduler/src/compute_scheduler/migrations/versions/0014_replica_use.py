"""When a copy of a data set was last given to a job."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("replica", sa.Column("used_at", UtcDateTime))


def downgrade() -> None:
    """Removes it."""
    op.drop_column("replica", "used_at")
