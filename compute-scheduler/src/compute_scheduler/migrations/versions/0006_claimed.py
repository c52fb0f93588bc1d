"""When a member of a gang asked for its epoch."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("attempt", sa.Column("claimed_at", UtcDateTime))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("attempt", "claimed_at")
