"""Versions of data sets, and pins that keep them readable."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates versions and pins; the versions so far are told from the pushes that made them."""
    versions = op.create_table(
        "dataset_version",
        sa.Column("dataset", sa.String(130), sa.ForeignKey("dataset.name"), primary_key=True),
        sa.Column("version", sa.String(40), primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("rows_added", sa.BigInteger),
        sa.Column("rows_removed", sa.BigInteger),
        sa.Column("is_whole", sa.Boolean, nullable=False),
        sa.Column("pushes", sa.JSON, nullable=False),
        sa.UniqueConstraint("dataset", "sequence", name="dataset_version_sequence"),
    )
    op.create_table(
        "version_pin",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("dataset", sa.String(130), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("org", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("dataset", "version", "org", "source", "reason", name="version_pin_once"),
    )
    op.create_index("version_pin_source", "version_pin", ["source"])
    rows = list(_versions_so_far(op.get_bind()))
    if rows:
        op.bulk_insert(versions, rows)


def _versions_so_far(connection: sa.Connection) -> list[dict[str, Any]]:
    push, dataset = sa.table("push", *_columns()), sa.table("dataset", sa.column("name"), sa.column("sequence"))
    last = {row.name: row.sequence for row in connection.execute(sa.select(dataset.c.name, dataset.c.sequence))}
    wanted = (
        sa.select(push)
        .where(push.c.state == "committed", push.c.snapshot.is_not(None))
        .order_by(push.c.dataset, push.c.committed_at, push.c.position)
    )
    grouped: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    for row in connection.execute(wanted):
        grouped[row.dataset].setdefault(row.snapshot, []).append(row)
    return [
        {
            "dataset": name,
            "version": snapshot,
            "sequence": last[name] - len(snapshots) + place,
            "committed_at": members[0].committed_at,
            "is_whole": False,
            "pushes": [
                {"id": item.id, "owner": item.owner, "mode": item.mode, "accepted": item.accepted} for item in members
            ],
        }
        for name, snapshots in grouped.items()
        for place, (snapshot, members) in enumerate(snapshots.items(), 1)
    ]


def _columns() -> list[sa.ColumnClause[Any]]:
    texts = ("id", "dataset", "owner", "mode", "state", "snapshot")
    return [
        *(sa.column(name, sa.String) for name in texts),
        sa.column("accepted", sa.BigInteger),
        sa.column("position", sa.BigInteger),
        sa.column("committed_at", sa.DateTime(timezone=True)),
    ]


def downgrade() -> None:
    """Removes versions and pins."""
    op.drop_table("version_pin")
    op.drop_table("dataset_version")
