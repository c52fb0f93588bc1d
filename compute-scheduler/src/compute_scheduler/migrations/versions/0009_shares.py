"""What an attempt holds of its node's accelerators: kind, whole devices or part of one, which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; attempts that are there hold what their jobs ask for."""
    op.add_column("attempt", sa.Column("accelerators", sa.JSON))
