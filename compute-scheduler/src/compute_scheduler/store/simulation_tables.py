"""Table of simulations: what was asked, how far it is, what came out."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime

from compute_scheduler.store.tables import metadata

simulations = sa.Table(
    "simulation",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("policy", sa.String(40), nullable=False),
    # format, since and until or files by name, seed, limit, load, staging_s.
    sa.Column("trace", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
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
