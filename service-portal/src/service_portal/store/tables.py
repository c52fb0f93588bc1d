"""Tables of the gateway: plans, assignments, usage."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

plans = sa.Table(
    "plan",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("rate_per_s", sa.Float),
    sa.Column("burst", sa.Integer, nullable=False),
    sa.Column("monthly_requests", sa.BigInteger),
    sa.Column("monthly_bytes", sa.BigInteger),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
assignments = sa.Table(
    "plan_assignment",
    metadata,
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("plan", sa.String(40), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("org", sa.String(18), primary_key=True),
    sa.Column("consumer", sa.String(60), primary_key=True),
    sa.Column("service", sa.String(60), primary_key=True),
    sa.Column("status_class", sa.String(3), primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("milliseconds", sa.Float, nullable=False),
)
