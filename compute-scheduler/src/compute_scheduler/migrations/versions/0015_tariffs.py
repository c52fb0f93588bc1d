"""Electricity tariffs by the time of use, and what the energy of an entry cost."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Creates the table and the column; of earlier entries the cost is not known."""
    op.create_table(
        "electricity_tariff",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("scope", sa.String(40), nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("periods", sa.JSON, nullable=False),
        sa.Column("source", sa.String(300), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("scope", "valid_from", name="electricity_tariff_from"),
    )
    op.add_column("ledger", sa.Column("electricity", sa.BigInteger))


def downgrade() -> None:
    """Removes both."""
    op.drop_column("ledger", "electricity")
    op.drop_table("electricity_tariff")
