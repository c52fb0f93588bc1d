"""Transfers of data to centres; replicas by view; bytes that an attempt moved."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime

revision = "0012"
down_revision = "0011"

_ALIVE = sa.text("state IN ('booked', 'moving')")


def upgrade() -> None:
    """Creates the tables and the columns."""
    op.create_table(
        "transfer",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("dataset", sa.String(120), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("view", sa.String(18), nullable=False),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("classification", sa.String(40), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("path", sa.JSON, nullable=False),
        sa.Column("spans", sa.JSON, nullable=False),
        sa.Column("ground", sa.String(64), nullable=False),
        sa.Column("finish_at", UtcDateTime),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("done_bytes", sa.BigInteger, nullable=False),
        sa.Column("sent_bytes", sa.BigInteger, nullable=False),
        sa.Column("charged_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("payer", sa.String(48), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    key = ["dataset", "version", "view", "centre"]
    op.create_index("transfer_alive", "transfer", key, unique=True, sqlite_where=_ALIVE, postgresql_where=_ALIVE)
    op.create_table(
        "transfer_user",
        sa.Column("transfer", sa.String(40), sa.ForeignKey("transfer.id"), primary_key=True),
        sa.Column("attempt", sa.String(48), primary_key=True),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("gone", sa.Boolean, nullable=False),
    )
    op.create_index("transfer_user_attempt", "transfer_user", ["attempt"])
    _remake_replica(with_view=True)
    op.add_column("attempt", sa.Column("data", sa.JSON))
    op.add_column("accounting", sa.Column("moved_bytes", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Removes them; of the views of a version at a centre the whole stays."""
    op.drop_column("accounting", "moved_bytes")
    op.drop_column("attempt", "data")
    _remake_replica(with_view=False)
    op.drop_table("transfer_user")
    op.drop_table("transfer")


def _remake_replica(*, with_view: bool) -> None:
    """The table with another primary key."""
    view = [sa.Column("view", sa.String(18), primary_key=True)] if with_view else []
    made = op.create_table(
        "replica_made",
        sa.Column("dataset", sa.String(120), primary_key=True),
        sa.Column("version", sa.String(40), primary_key=True),
        *view,
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("note", sa.String(300), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    names = "dataset, version, centre, bytes, sha256, state, note, updated_by, updated_at"
    if with_view:
        op.execute(f"INSERT INTO {made.name} (view, {names}) SELECT 'whole', {names} FROM replica")
    else:
        op.execute(f"INSERT INTO {made.name} ({names}) SELECT {names} FROM replica WHERE view = 'whole'")
    op.drop_table("replica")
    op.rename_table(made.name, "replica")
