"""The inventory of centres, the links between them, and simulations."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "inventory",
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("longitude", sa.Float),
        sa.Column("latitude", sa.Float),
        sa.Column("storage_tb", sa.Float),
        sa.Column("eflops", sa.JSON, nullable=False),
        sa.Column("racks_built", sa.Integer),
        sa.Column("racks_planned", sa.Integer),
        sa.Column("dedicated", sa.Boolean, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("source", sa.String(300), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "centre_link",
        sa.Column("one", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
        sa.Column("other", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
        sa.Column("capacity_gbit_s", sa.Float, nullable=False),
        sa.Column("latency_ms", sa.Float),
        sa.Column("note", sa.String(300), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "simulation",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("policy", sa.String(40), nullable=False),
        sa.Column("trace", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("result", sa.JSON),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
    )
    op.create_index("ix_simulation_state", "simulation", ["state"])


def downgrade() -> None:
    """Removes them."""
    op.drop_table("simulation")
    op.drop_table("centre_link")
    op.drop_table("inventory")
