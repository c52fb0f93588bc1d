"""Groups of tenants that lend each other what lies idle of their quotas; versions of the policy."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Creates the table and the columns."""
    op.create_table(
        "quota_group",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("parent", sa.String(40)),
        sa.Column("quota", sa.JSON, nullable=False),
        sa.Column("lending_limit", sa.JSON, nullable=False),
        sa.Column("borrowing_limit", sa.JSON, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "policy_version",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("base", sa.String(40), nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.add_column("tenant", sa.Column("quota_group", sa.String(40)))
    op.add_column("tenant", sa.Column("lending_limit", sa.JSON))
    op.add_column("tenant", sa.Column("borrowing_limit", sa.JSON))


def downgrade() -> None:
    """Removes them."""
    for name in ("borrowing_limit", "lending_limit", "quota_group"):
        op.drop_column("tenant", name)
    op.drop_table("policy_version")
    op.drop_table("quota_group")
