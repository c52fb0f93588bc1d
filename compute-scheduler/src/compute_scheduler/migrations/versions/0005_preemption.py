"""How often a job made way, and for which job an attempt is stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("job", sa.Column("preemptions", sa.Integer, nullable=False, server_default="0"))
    op.add_column("attempt", sa.Column("preempted_for", sa.String(40)))


def downgrade() -> None:
    """Takes them away."""
    op.drop_column("attempt", "preempted_for")
    op.drop_column("job", "preemptions")
