"""Tables of the data hub. The Iceberg catalogue's own two tables live in the same database, see `engine.catalogue`."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

datasets = sa.Table(
    "dataset",
    metadata,
    sa.Column("name", sa.String(130), primary_key=True),
    sa.Column("warehouse", sa.String(20), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("contract", sa.JSON, nullable=False),
    # Counts commits of this table; the figures below are those of the last one.
    sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("snapshot", sa.String(40)),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("files", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_commit_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

contract_versions = sa.Table(
    "contract_version",
    metadata,
    sa.Column("dataset", sa.String(130), sa.ForeignKey("dataset.name"), primary_key=True),
    sa.Column("version", sa.String(32), primary_key=True),
    sa.Column("contract", sa.JSON, nullable=False),
    sa.Column("compatible", sa.Boolean, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(80), nullable=False),
)

pushes = sa.Table(
    "push",
    metadata,
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
    # Order among the validated pushes of a table: given in the transaction that validates.
    sa.Column("position", sa.BigInteger),
    # What is staged: [{key, rows, bytes}]; a small push keeps its Parquet bytes in `staged_bytes` instead.
    sa.Column("staged", sa.JSON),
    sa.Column("rejects_key", sa.String(300)),
    sa.Column("rejects", sa.JSON),
    sa.Column("problems", sa.JSON),
    sa.Column("snapshot", sa.String(40)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("validated_at", UtcDateTime),
    sa.Column("committed_at", UtcDateTime),
    # A push in state `received` whose process has not renewed this is interrupted.
    sa.Column("lease_until", UtcDateTime),
    sa.UniqueConstraint("owner", "dataset", "idempotency_key", name="push_idempotency"),
    sa.Index("push_queue", "dataset", "state", "position"),
    sa.Index("push_owner", "owner", "id"),
    sa.Index("push_state", "state", "id"),
)

staged_bytes = sa.Table(
    "staged_bytes",
    metadata,
    sa.Column("push", sa.String(40), sa.ForeignKey("push.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

table_leases = sa.Table(
    "table_lease",
    metadata,
    sa.Column("dataset", sa.String(130), primary_key=True),
    sa.Column("holder", sa.String(80), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

# One row a commit, written with it. is_whole: nothing of the version before is in this one.
dataset_versions = sa.Table(
    "dataset_version",
    metadata,
    sa.Column("dataset", sa.String(130), sa.ForeignKey("dataset.name"), primary_key=True),
    sa.Column("version", sa.String(40), primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("committed_at", UtcDateTime, nullable=False),
    sa.Column("rows", sa.BigInteger),
    sa.Column("rows_added", sa.BigInteger),
    sa.Column("rows_removed", sa.BigInteger),
    sa.Column("is_whole", sa.Boolean, nullable=False),
    # What the commit took: [{id, owner, mode, accepted}].
    sa.Column("pushes", sa.JSON, nullable=False),
    sa.UniqueConstraint("dataset", "sequence", name="dataset_version_sequence"),
)

# source: "" when somebody asked for the pin, else what in the lineage holds the version.
version_pins = sa.Table(
    "version_pin",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("dataset", sa.String(130), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("org", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(80), nullable=False),
    sa.Column("reason", sa.String(300), nullable=False),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("dataset", "version", "org", "source", "reason", name="version_pin_once"),
    sa.Index("version_pin_source", "source"),
)

lineage_runs = sa.Table(
    "lineage_run",
    metadata,
    sa.Column("run_id", sa.String(36), primary_key=True),
    # For whom it ran; empty: for the platform.
    sa.Column("org", sa.String(32), nullable=False),
    sa.Column("job_namespace", sa.String(200), nullable=False),
    sa.Column("job_name", sa.String(200), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("state_at", UtcDateTime, nullable=False),
    sa.Column("first_at", UtcDateTime, nullable=False),
    sa.Column("reporter", sa.String(80), nullable=False),
    sa.Column("producer", sa.String(1000), nullable=False),
    # Facets of run and job of the event that gave the state: {"run": {...}, "job": {...}}.
    sa.Column("facets", sa.JSON, nullable=False),
    sa.Index("lineage_run_recent", "state_at", "run_id"),
)

# Nodes are names, see domain.lineage.nodes. What commits do is told by `dataset_version` and not repeated here.
lineage_edges = sa.Table(
    "lineage_edge",
    metadata,
    sa.Column("source", sa.String(700), primary_key=True),
    sa.Column("target", sa.String(700), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    # That of the run at one end.
    sa.Column("org", sa.String(32), nullable=False),
    sa.Index("lineage_edge_target", "target", "source"),
)

lineage_columns = sa.Table(
    "lineage_column",
    metadata,
    sa.Column("run_id", sa.String(36), primary_key=True),
    sa.Column("output", sa.String(700), primary_key=True),
    sa.Column("output_column", sa.String(200), primary_key=True),
    sa.Column("input", sa.String(700), primary_key=True),
    sa.Column("input_column", sa.String(200), primary_key=True),
    sa.Column("how", sa.String(20), nullable=False),
)

# What a push that derives a data set was made of; becomes a run of the lineage when the push is committed.
derivations = sa.Table(
    "derivation",
    metadata,
    sa.Column("push", sa.String(40), sa.ForeignKey("push.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("run_id", sa.String(36), nullable=False, unique=True),
    sa.Column("sql", sa.Text, nullable=False),
    sa.Column("parameters", sa.JSON),
    # {data set: version}; a version is empty when nothing was ever pushed to it.
    sa.Column("inputs", sa.JSON, nullable=False),
    # [[output column, data set, input column, how]]; None when they are not known.
    sa.Column("columns", sa.JSON),
    sa.Column("started_at", UtcDateTime, nullable=False),
)

# Derived data sets whose objects are being stored; their push comes with the last step, so nothing shows of a failure.
# state: open, then doomed once the lease is over and the objects are being removed.
derived_stagings = sa.Table(
    "derived_staging",
    metadata,
    sa.Column("push", sa.String(40), primary_key=True),
    sa.Column("dataset", sa.String(130), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("lease_until", UtcDateTime, nullable=False),
)
