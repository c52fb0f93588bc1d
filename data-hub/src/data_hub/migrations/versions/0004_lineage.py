"""Lineage: runs, edges, columns, and what a derived data set was made of."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Creates the lineage."""
    op.create_table(
        "lineage_run",
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("org", sa.String(32), nullable=False),
        sa.Column("job_namespace", sa.String(200), nullable=False),
        sa.Column("job_name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reporter", sa.String(80), nullable=False),
        sa.Column("producer", sa.String(1000), nullable=False),
        sa.Column("facets", sa.JSON, nullable=False),
    )
    op.create_index("lineage_run_recent", "lineage_run", ["state_at", "run_id"])
    op.create_table(
        "lineage_edge",
        sa.Column("source", sa.String(700), primary_key=True),
        sa.Column("target", sa.String(700), primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("org", sa.String(32), nullable=False),
    )
    op.create_index("lineage_edge_target", "lineage_edge", ["target", "source"])
    op.create_table(
        "lineage_column",
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("output", sa.String(700), primary_key=True),
        sa.Column("output_column", sa.String(200), primary_key=True),
        sa.Column("input", sa.String(700), primary_key=True),
        sa.Column("input_column", sa.String(200), primary_key=True),
        sa.Column("how", sa.String(20), nullable=False),
    )
    op.create_table(
        "derivation",
        sa.Column("push", sa.String(40), sa.ForeignKey("push.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("run_id", sa.String(36), nullable=False, unique=True),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("parameters", sa.JSON),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("columns", sa.JSON),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Removes the lineage."""
    for name in ("derivation", "lineage_column", "lineage_edge", "lineage_run"):
        op.drop_table(name)
