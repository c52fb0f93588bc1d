"""Tables of the data network: when links carry less, where copies of data sets are, where data may be."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime

from compute_scheduler.store.tables import metadata

# Between two moments the link of `one` and `other` carries at most gbit_s.
link_windows = sa.Table(
    "link_window",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("one", sa.String(40), nullable=False),
    sa.Column("other", sa.String(40), nullable=False),
    sa.Column("gbit_s", sa.Float, nullable=False),
    sa.Column("start_at", UtcDateTime, nullable=False),
    sa.Column("end_at", UtcDateTime, nullable=False),
    sa.Column("note", sa.String(300), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("link_window_of", "one", "other"),
)

# What the centres beside the warehouse hold is not listed: it is what the warehouse holds.
replicas = sa.Table(
    "replica",
    metadata,
    sa.Column("dataset", sa.String(120), primary_key=True),
    sa.Column("version", sa.String(40), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    # ready, or suspect: not to be used until it is registered anew.
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("note", sa.String(300), nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Ids of centres and codes of regions where a data set may be, in place of what its class says.
data_rules = sa.Table(
    "data_rule",
    metadata,
    sa.Column("dataset", sa.String(120), primary_key=True),
    sa.Column("stays_in", sa.JSON, nullable=False),
    sa.Column("reason", sa.String(300), nullable=False),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
