"""Attempts of a gang's members, and the addresses of nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_alive = sa.text("state <> 'ended'")


def upgrade() -> None:
    """Numbers members and lets each have an attempt."""
    op.add_column("attempt", sa.Column("rank", sa.Integer, nullable=False, server_default="0"))
    op.add_column("node", sa.Column("address", sa.String(255), nullable=False, server_default=""))
    op.drop_index("attempt_alive", "attempt")
    op.create_index(
        "attempt_alive", "attempt", ["job", "rank"], unique=True, sqlite_where=_alive, postgresql_where=_alive
    )


def downgrade() -> None:
    """Back to one attempt a job."""
    op.drop_index("attempt_alive", "attempt")
    op.create_index("attempt_alive", "attempt", ["job"], unique=True, sqlite_where=_alive, postgresql_where=_alive)
    op.drop_column("node", "address")
    op.drop_column("attempt", "rank")
