"""Tables of the ledger: what attempts used, what it cost whom, and the periods in which it is settled.

Amounts of money are whole millionths of a yuan, energy is microwatt-hours, carbon micrograms: sums are exact. Rows of
`ledger`, `ledger_item`, `posting`, `price_list` and `energy_factor` are added and never changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import BigId, UtcDateTime

from compute_scheduler.store.tables import metadata

price_lists = sa.Table(
    "price_list",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    # '' is for every centre without a list of its own.
    sa.Column("centre", sa.String(40), nullable=False),
    sa.Column("valid_from", UtcDateTime, nullable=False),
    # Resource to millionths of a yuan: core_hour, gib_hour, gb_moved, and accelerator_hour by kind ('*': any other).
    sa.Column("prices", sa.JSON, nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("centre", "valid_from", name="price_list_from"),
)

energy_factors = sa.Table(
    "energy_factor",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False),
    sa.Column("valid_from", UtcDateTime, nullable=False),
    # Milliwatts of one core and of one accelerator by kind ('*': any other); thousandths; milligrams a kWh.
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

# Carbon intensity of a centre's electricity by the hour, gCO2/kWh, repeated; the newest of a centre is in force for the
# plan. Rows are added and never changed.
carbon_series = sa.Table(
    "carbon_series",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("centre", sa.String(40), sa.ForeignKey("centre.id"), nullable=False, index=True),
    sa.Column("zone", sa.String(100), nullable=False),
    sa.Column("start_at", UtcDateTime, nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
    sa.Column("source", sa.String(300), nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# What a kWh costs by the time of use; scope: a centre, or a region by its six digits. Rows are added and never changed.
tariffs = sa.Table(
    "electricity_tariff",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("scope", sa.String(40), nullable=False),
    sa.Column("valid_from", UtcDateTime, nullable=False),
    # [months, from and until in minutes, kind, millionths of a yuan a kWh]
    sa.Column("periods", sa.JSON, nullable=False),
    sa.Column("source", sa.String(300), nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("scope", "valid_from", name="electricity_tariff_from"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("attempt", sa.String(48), nullable=False),
    sa.Column("segment", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("reverses", sa.BigInteger),
    sa.Column("job", sa.String(40), nullable=False, index=True),
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
    # Millionths of a yuan that the energy cost by the tariff; no part of the amount.
    sa.Column("electricity", sa.BigInteger),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("posted_by", sa.String(64), nullable=False),
    sa.Column("posted_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("attempt", "segment", "revision", name="ledger_revision"),
    sa.UniqueConstraint("reverses", name="ledger_reverses"),
    sa.Index("ledger_org", "org", "id"),
    sa.Index("ledger_owner", "owner", "id"),
    sa.Index("ledger_period", "period", "org", "owner"),
    sa.Index("ledger_ended", "ended_at"),
)

items = sa.Table(
    "ledger_item",
    metadata,
    sa.Column("entry", sa.BigInteger, sa.ForeignKey("ledger.id"), primary_key=True),
    # core, memory, moved, or accelerator:<kind>.
    sa.Column("resource", sa.String(60), primary_key=True),
    # Millionths of core seconds, thousandths of MB seconds, bytes, or thousandths of accelerator seconds.
    sa.Column("quantity", sa.BigInteger, nullable=False),
    # None: the price list names no price for it.
    sa.Column("price", sa.BigInteger),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

postings = sa.Table(
    "posting",
    metadata,
    sa.Column("entry", sa.BigInteger, sa.ForeignKey("ledger.id"), primary_key=True),
    sa.Column("side", sa.String(8), primary_key=True),
    sa.Column("org", sa.String(18), nullable=False),
    sa.Column("counterparty", sa.String(18), nullable=False),
    sa.Column("ownership", sa.String(8), nullable=False),
    sa.Column("period", sa.String(7), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Index("posting_org", "org", "period"),
)

periods = sa.Table(
    "settlement_period",
    metadata,
    sa.Column("period", sa.String(7), primary_key=True),
    sa.Column("closed_at", UtcDateTime, nullable=False),
    sa.Column("closed_by", sa.String(64), nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    # SHA-256 of the statements as they were when the period was closed.
    sa.Column("digest", sa.String(64), nullable=False),
)
