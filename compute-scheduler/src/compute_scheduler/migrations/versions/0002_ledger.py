"""The ledger: price lists, energy factors, entries with items and postings, closed periods."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from brain_kit.database import BigId, UtcDateTime

revision = "0002"
down_revision = "0001"

_unposted = sa.text("NOT posted")


def upgrade() -> None:
    """Creates the tables; what was accounted before is posted by the worker."""
    op.add_column("accounting", sa.Column("posted", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("accounting_unposted", "accounting", ["id"], sqlite_where=_unposted, postgresql_where=_unposted)
    op.create_index("accounting_ended", "accounting", ["ended_at"])
    op.create_table(
        "price_list",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("centre", sa.String(40), nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("prices", sa.JSON, nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("centre", "valid_from", name="price_list_from"),
    )
    op.create_table(
        "energy_factor",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("core_mw", sa.BigInteger, nullable=False),
        sa.Column("accelerator_mw", sa.JSON, nullable=False),
        sa.Column("pue_milli", sa.Integer, nullable=False),
        sa.Column("carbon_mg_kwh", sa.BigInteger),
        sa.Column("source", sa.String(300), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("centre", "valid_from", name="energy_factor_from"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("attempt", sa.String(48), nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reverses", sa.BigInteger),
        sa.Column("job", sa.String(40), nullable=False),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("owner", sa.String(18), nullable=False),
        sa.Column("centre", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("charge", sa.String(24), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("price_list", sa.String(40)),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("energy_uwh", sa.BigInteger),
        sa.Column("carbon_ug", sa.BigInteger),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("posted_by", sa.String(64), nullable=False),
        sa.Column("posted_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("attempt", "segment", "revision", name="ledger_revision"),
        sa.UniqueConstraint("reverses", name="ledger_reverses"),
    )
    op.create_table(
        "ledger_item",
        sa.Column("entry", sa.BigInteger, sa.ForeignKey("ledger.id"), primary_key=True),
        sa.Column("resource", sa.String(60), primary_key=True),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "posting",
        sa.Column("entry", sa.BigInteger, sa.ForeignKey("ledger.id"), primary_key=True),
        sa.Column("side", sa.String(8), primary_key=True),
        sa.Column("org", sa.String(18), nullable=False),
        sa.Column("counterparty", sa.String(18), nullable=False),
        sa.Column("ownership", sa.String(8), nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "settlement_period",
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("closed_at", UtcDateTime, nullable=False),
        sa.Column("closed_by", sa.String(64), nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_index("ix_ledger_job", "ledger", ["job"])
    op.create_index("ledger_org", "ledger", ["org", "id"])
    op.create_index("ledger_owner", "ledger", ["owner", "id"])
    op.create_index("ledger_period", "ledger", ["period", "org", "owner"])
    op.create_index("ledger_ended", "ledger", ["ended_at"])
    op.create_index("posting_org", "posting", ["org", "period"])
    lease = sa.table(
        "lease", sa.column("name"), sa.column("holder"), sa.column("token"), sa.column("until", UtcDateTime)
    )
    op.bulk_insert(lease, [{"name": "ledger", "holder": "", "token": 0, "until": datetime(2000, 1, 1, tzinfo=UTC)}])


def downgrade() -> None:
    """Removes them."""
    op.execute("DELETE FROM lease WHERE name = 'ledger'")
    for table in ("settlement_period", "posting", "ledger_item", "ledger", "energy_factor", "price_list"):
        op.drop_table(table)
    op.drop_index("accounting_ended", "accounting")
    op.drop_index("accounting_unposted", "accounting")
    op.drop_column("accounting", "posted")
