"""Attempts to sign in by name, roles of an organisation, keys whose expiry was told, longer audit chains."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table and the columns; counts of failures begin anew."""
    op.create_table(
        "sign_in_attempt",
        sa.Column("login", sa.String(60), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=False, index=True),
        sa.Column("locked_until", UtcDateTime),
    )
    op.drop_column("account", "failures")
    op.drop_column("account", "locked_until")
    op.add_column("organisation", sa.Column("roles", sa.JSON))
    op.add_column("api_key", sa.Column("expiry_told", sa.Boolean, nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name == "postgresql":  # SQLite's integers have 64 bits anyway
        op.alter_column("audit_record", "seq", type_=sa.BigInteger)
        op.alter_column("audit_head", "seq", type_=sa.BigInteger)


def downgrade() -> None:
    """Takes them away again; a chain keeps its long numbers."""
    op.drop_column("api_key", "expiry_told")
    op.drop_column("organisation", "roles")
    op.add_column("account", sa.Column("locked_until", UtcDateTime))
    op.add_column("account", sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
    op.drop_table("sign_in_attempt")
