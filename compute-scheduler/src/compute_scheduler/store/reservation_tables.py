"""Tables of reservations and maintenance windows."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime

from compute_scheduler.store.tables import metadata

reservations = sa.Table(
    "reservation",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("purpose", sa.String(500), nullable=False),
    sa.Column("start_at", UtcDateTime, nullable=False),
    sa.Column("end_at", UtcDateTime, nullable=False),
    # The class of jobs that it is for; null: those of its organisations, in `reservation_org`.
    sa.Column("priority", sa.String(8)),
    # What was asked for: resources of each part and how many parts; null: whole nodes.
    sa.Column("asked", sa.JSON(none_as_null=True)),
    # [node id, resources kept there (null: all of it)]; empty: every node of the centre, also those that come later.
    sa.Column("nodes", sa.JSON, nullable=False),
    # What becomes of jobs that run when a maintenance window opens: leave, requeue, end.
    sa.Column("running", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("began_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("idempotency_key", sa.String(200), unique=True),
    sa.Index("reservation_centre", "centre", "start_at"),
)

reservation_orgs = sa.Table(
    "reservation_org",
    metadata,
    sa.Column("reservation", sa.String(40), sa.ForeignKey("reservation.id"), primary_key=True),
    sa.Column("org", sa.String(18), primary_key=True, index=True),
)
