"""The data network: windows of links, replicas, where data may be; what an attempt's data take."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Creates the tables and the column."""
    op.create_table(
        "link_window",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("one", sa.String(40), nullable=False),
        sa.Column("other", sa.String(40), nullable=False),
        sa.Column("gbit_s", sa.Float, nullable=False),
        sa.Column("start_at", UtcDateTime, nullable=False),
        sa.Column("end_at", UtcDateTime, nullable=False),
        sa.Column("note", sa.String(300), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("link_window_of", "link_window", ["one", "other"])
    op.create_table(
        "replica",
        sa.Column("dataset", sa.String(120), primary_key=True),
        sa.Column("version", sa.String(40), primary_key=True),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("note", sa.String(300), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "data_rule",
        sa.Column("dataset", sa.String(120), primary_key=True),
        sa.Column("stays_in", sa.JSON, nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.add_column("attempt", sa.Column("stage", sa.JSON))


def downgrade() -> None:
    """Removes them."""
    op.drop_column("attempt", "stage")
    op.drop_table("data_rule")
    op.drop_table("replica")
    op.drop_table("link_window")
