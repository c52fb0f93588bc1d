"""Data sets, contracts, pushes, leases, and the two tables of the Iceberg catalogue."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import UtcDateTime, create_event_tables

revision = "0001"
down_revision = None

WAREHOUSES = ("public", "industry", "enterprise")


def upgrade() -> None:
    """Creates the tables of the data hub."""
    create_event_tables(op)
    _datasets()
    _pushes()
    op.create_table(
        "table_lease",
        sa.Column("dataset", sa.String(130), primary_key=True),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    _catalogue()


def downgrade() -> None:
    """Removes the tables; the files of the warehouse stay."""
    names = ("iceberg_namespace_properties", "iceberg_tables", "table_lease", "staged_bytes", "push")
    for table in (*names, "contract_version", "dataset"):
        op.drop_table(table)


def _datasets() -> None:
    op.create_table(
        "dataset",
        sa.Column("name", sa.String(130), primary_key=True),
        sa.Column("warehouse", sa.String(20), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("contract", sa.JSON, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("snapshot", sa.String(40)),
        sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("files", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_commit_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "contract_version",
        sa.Column("dataset", sa.String(130), sa.ForeignKey("dataset.name"), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("contract", sa.JSON, nullable=False),
        sa.Column("compatible", sa.Boolean, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
    )


def _pushes() -> None:
    op.create_table(
        "push",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("dataset", sa.String(130), sa.ForeignKey("dataset.name"), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("contract_version", sa.String(32), nullable=False),
        sa.Column("media_type", sa.String(120), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("content_sha256", sa.String(64)),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("received", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("accepted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rejected", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("position", sa.BigInteger),
        sa.Column("staged", sa.JSON),
        sa.Column("rejects_key", sa.String(300)),
        sa.Column("rejects", sa.JSON),
        sa.Column("problems", sa.JSON),
        sa.Column("snapshot", sa.String(40)),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("validated_at", UtcDateTime),
        sa.Column("committed_at", UtcDateTime),
        sa.Column("lease_until", UtcDateTime),
        sa.UniqueConstraint("owner", "dataset", "idempotency_key", name="push_idempotency"),
    )
    op.create_index("push_queue", "push", ["dataset", "state", "position"])
    op.create_index("push_owner", "push", ["owner", "id"])
    op.create_index("push_state", "push", ["state", "id"])
    op.create_table(
        "staged_bytes",
        sa.Column("push", sa.String(40), sa.ForeignKey("push.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


def _catalogue() -> None:
    # The layout of pyiceberg's SQL catalogue and of Iceberg's JDBC catalogue, schema version 1.
    op.create_table(
        "iceberg_tables",
        sa.Column("catalog_name", sa.String(255), primary_key=True),
        sa.Column("table_namespace", sa.String(255), primary_key=True),
        sa.Column("table_name", sa.String(255), primary_key=True),
        sa.Column("metadata_location", sa.String(1000)),
        sa.Column("previous_metadata_location", sa.String(1000)),
        sa.Column("iceberg_type", sa.String(5)),
    )
    namespaces = op.create_table(
        "iceberg_namespace_properties",
        sa.Column("catalog_name", sa.String(255), primary_key=True),
        sa.Column("namespace", sa.String(255), primary_key=True),
        sa.Column("property_key", sa.String(255), primary_key=True),
        sa.Column("property_value", sa.String(1000), nullable=False),
    )
    rows = [
        {"catalog_name": "brain", "namespace": name, "property_key": "exists", "property_value": "true"}
        for name in WAREHOUSES
    ]
    op.bulk_insert(namespaces, rows)
