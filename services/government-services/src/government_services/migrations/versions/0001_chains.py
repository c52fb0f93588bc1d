"""Chains, their facts and what has to be read anew."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime, create_event_tables, drop_event_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the tables of the read model."""
    create_event_tables(op)
    op.create_table(
        "chain",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("panorama", sa.JSON),
        sa.Column("digest", sa.String(64)),
        sa.Column("built_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "dirty_part",
        sa.Column("chain", sa.String(64), sa.ForeignKey("chain.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", sa.String(100), primary_key=True),
        sa.Column("marker", sa.String(64), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
    )
    op.create_table(
        "part_facts",
        sa.Column("chain", sa.String(64), sa.ForeignKey("chain.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", sa.String(100), primary_key=True),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("snapshot", sa.String(40)),
        sa.Column("read_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Removes the tables of the read model; the model can be built again from the warehouse."""
    for table in ("part_facts", "dirty_part", "chain"):
        op.drop_table(table)
    drop_event_tables(op)
