"""Tables of lending between brains."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime

from compute_scheduler.store.tables import metadata

# One row: by what other brains know this one.
brains = sa.Table(
    "brain",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# What this brain lends to an organisation that stands for another brain.
loans = sa.Table(
    "loan",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("borrower", sa.String(18), nullable=False, index=True),
    sa.Column("title", sa.String(100), nullable=False),
    # Resource name to amount, as in quotas.
    sa.Column("amounts", sa.JSON, nullable=False),
    # Pairs of times of day in China, "HH:MM"; none: the whole day.
    sa.Column("hours", sa.JSON, nullable=False),
    sa.Column("from_at", UtcDateTime),
    sa.Column("until_at", UtcDateTime),
    # `wait`: what runs may end; `stop`: after the notice it is stopped, and own jobs may take its room.
    sa.Column("reclaim", sa.String(8), nullable=False),
    sa.Column("notice_s", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # Since when more runs than is lent.
    sa.Column("over_since", UtcDateTime),
    # The borrower as it last looked.
    sa.Column("partner", sa.String(40)),
    sa.Column("seen_at", UtcDateTime),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

loan_keys = sa.Table(
    "loan_key",
    metadata,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("loan", sa.String(40), sa.ForeignKey("loan.id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# An attempt of another brain as a job of this one; the attempt is the key, so a repeated request makes no second job.
lent_jobs = sa.Table(
    "lent_job",
    metadata,
    sa.Column("job", sa.String(40), sa.ForeignKey("job.id"), primary_key=True),
    sa.Column("loan", sa.String(40), sa.ForeignKey("loan.id"), nullable=False),
    sa.Column("attempt", sa.String(48), nullable=False),
    # The mark of the borrower's centre: another centre that uses the loan leaves its jobs alone.
    sa.Column("holder", sa.String(80), nullable=False),
    # When the other brain let the attempt begin; before, no command of it may.
    sa.Column("granted_at", UtcDateTime),
    sa.Column("reclaimed_at", UtcDateTime),
    sa.UniqueConstraint("loan", "attempt", name="lent_job_attempt"),
)

# What the partner says an attempt used: of a loan (it lent from us) or of a centre (we borrowed there).
partner_figures = sa.Table(
    "partner_figure",
    metadata,
    sa.Column("party", sa.String(48), primary_key=True),
    sa.Column("attempt", sa.String(48), primary_key=True),
    sa.Column("figure", sa.JSON, nullable=False),
    sa.Column("told_at", UtcDateTime, nullable=False),
)
