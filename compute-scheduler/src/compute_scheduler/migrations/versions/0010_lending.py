"""Lending between brains: loans, their keys and jobs, the partner's figures."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "brain",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "loan",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("borrower", sa.String(18), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("amounts", sa.JSON, nullable=False),
        sa.Column("hours", sa.JSON, nullable=False),
        sa.Column("from_at", UtcDateTime),
        sa.Column("until_at", UtcDateTime),
        sa.Column("reclaim", sa.String(8), nullable=False),
        sa.Column("notice_s", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("over_since", UtcDateTime),
        sa.Column("partner", sa.String(40)),
        sa.Column("seen_at", UtcDateTime),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_loan_borrower", "loan", ["borrower"])
    op.create_table(
        "loan_key",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("loan", sa.String(40), sa.ForeignKey("loan.id"), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_loan_key_loan", "loan_key", ["loan"])
    op.create_table(
        "lent_job",
        sa.Column("job", sa.String(40), sa.ForeignKey("job.id"), primary_key=True),
        sa.Column("loan", sa.String(40), sa.ForeignKey("loan.id"), nullable=False),
        sa.Column("attempt", sa.String(48), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("granted_at", UtcDateTime),
        sa.Column("reclaimed_at", UtcDateTime),
        sa.UniqueConstraint("loan", "attempt", name="lent_job_attempt"),
    )
    op.create_table(
        "partner_figure",
        sa.Column("party", sa.String(48), primary_key=True),
        sa.Column("attempt", sa.String(48), primary_key=True),
        sa.Column("figure", sa.JSON, nullable=False),
        sa.Column("told_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("partner_figure", "lent_job", "loan_key", "loan", "brain"):
        op.drop_table(table)
