"""Tables of the data network: when links carry less, copies of data sets, transfers to centres, where data may be."""

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
    # whole, open (without the system's columns), or the organisation whose rows it holds.
    sa.Column("view", sa.String(18), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    # ready; suspect or bad (it was not what it should be): not to be used until it is registered anew.
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("note", sa.String(300), nullable=False),
    # When it was last given to a job; null: to none yet.
    sa.Column("used_at", UtcDateTime),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

_underway = sa.text("state IN ('booked', 'moving')")

# A version on its way to a centre; states in `domain/transfers.py`.
transfers = sa.Table(
    "transfer",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("dataset", sa.String(120), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("view", sa.String(18), nullable=False),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
    sa.Column("classification", sa.String(40), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    # Links as [one, other]; spans as [from ms, until ms, bytes a ms]: what it has reserved.
    sa.Column("path", sa.JSON, nullable=False),
    sa.Column("spans", sa.JSON, nullable=False),
    # Digest of the links that the reservation was made on.
    sa.Column("ground", sa.String(64), nullable=False),
    sa.Column("finish_at", UtcDateTime),
    # null: not known before its agent has asked what there is.
    sa.Column("bytes", sa.BigInteger),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("done_bytes", sa.BigInteger, nullable=False),
    # What was handed out for it: more than done_bytes when something had to be fetched twice, less after a resumption.
    sa.Column("sent_bytes", sa.BigInteger, nullable=False),
    sa.Column("charged_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    # Whose right to the data is used, and the attempt that pays.
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("payer", sa.String(48), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index(
        "transfer_alive", "dataset", "version", "view", "centre",
        unique=True, sqlite_where=_underway, postgresql_where=_underway,
    ),
)  # fmt: skip

# The attempts that wait for a transfer; gone: they have ended or do without it.
transfer_users = sa.Table(
    "transfer_user",
    metadata,
    sa.Column("transfer", sa.String(40), sa.ForeignKey("transfer.id"), primary_key=True),
    sa.Column("attempt", sa.String(48), primary_key=True),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False),
    sa.Index("transfer_user_attempt", "attempt"),
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
