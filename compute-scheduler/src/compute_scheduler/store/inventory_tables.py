"""Tables of the inventory: what centres are and have beside their nodes, and the links between them."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime

from compute_scheduler.store.tables import metadata

inventory = sa.Table(
    "inventory",
    metadata,
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
    sa.Column("region", sa.String(6), nullable=False),
    sa.Column("longitude", sa.Float),
    sa.Column("latitude", sa.Float),
    sa.Column("storage_tb", sa.Float),
    # Precision (fp64, fp32, fp16, int8) to EFLOPS.
    sa.Column("eflops", sa.JSON, nullable=False),
    sa.Column("racks_built", sa.Integer),
    sa.Column("racks_planned", sa.Integer),
    sa.Column("dedicated", sa.Boolean, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("source", sa.String(300), nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Both ways alike; the id that comes first in the alphabet is `one`.
links = sa.Table(
    "centre_link",
    metadata,
    sa.Column("one", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
    sa.Column("other", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
    sa.Column("capacity_gbit_s", sa.Float, nullable=False),
    sa.Column("latency_ms", sa.Float),
    sa.Column("note", sa.String(300), nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
