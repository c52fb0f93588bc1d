"""Tables of evaluation. Values are appended, never changed; what people edit carries a version and a history."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import BigId, UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

clusters = sa.Table(
    "cluster",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("region", sa.String(6)),
    sa.Column("chain", sa.String(64)),
    sa.Column("synthetic", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# What a commit has touched. The computation starts when commits have paused, so a load of thirty pushes computes once.
recompute = sa.Table(
    "recompute",
    metadata,
    sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("last", UtcDateTime, nullable=False),
    sa.Column("datasets", sa.JSON, nullable=False),
)

runs = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("versions", sa.JSON),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("without_value", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    # The worker that holds the run and until when; the epoch fences one that was thought dead.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_org", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("run_state", "state", "id"),
    sa.Index("run_cluster", "cluster", "id"),
)

# Versions that are to stay readable. id: names the pin in the data hub, `pin` is its id there once it is known.
version_pins = sa.Table(
    "version_pin",
    metadata,
    sa.Column("dataset", sa.String(130), primary_key=True),
    sa.Column("version", sa.String(20), primary_key=True),
    sa.Column("id", sa.String(40), nullable=False),
    sa.Column("pin", sa.String(40)),
    sa.Column("asked_at", UtcDateTime, nullable=False),
)

# Texts of queries by their digest: thousands of values come from a few dozen texts.
query_texts = sa.Table(
    "query_text",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("sql", sa.Text, nullable=False),
)

computed_values = sa.Table(
    "computed_value",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    sa.Column("run", sa.String(40), nullable=False),
    sa.Column("computation", sa.String(64), nullable=False),
    sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("numerator", sa.Float),
    sa.Column("denominator", sa.Float),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("reason_code", sa.String(64)),
    sa.Column("reason", sa.Text),
    sa.Column("as_of", sa.String(32)),
    sa.Column("query_digest", sa.String(64)),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("computed_at", UtcDateTime, nullable=False),
    # A run that goes on after a crash writes each value once.
    sa.UniqueConstraint("run", "computation", "period", name="computed_value_once"),
    sa.Index("computed_value_newest", "cluster", "computation", "period", "seq"),
    sqlite_autoincrement=True,
)

reported_values = sa.Table(
    "reported_value",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("set_id", sa.String(64), nullable=False),
    sa.Column("indicator", sa.String(64), nullable=False),
    sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("text", sa.Text),
    sa.Column("points", sa.Float),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("org", sa.String(64), nullable=False),
    sa.Column("authors", sa.JSON, nullable=False),
    sa.Column("submitter", sa.String(128)),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("reviewer", sa.String(128)),
    sa.Column("reviewed_at", UtcDateTime),
    sa.Column("review_note", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("reported_value_place", "cluster", "set_id", "indicator", "period", "id"),
    sa.Index("reported_value_state", "state", "id"),
)

# One open report a place: whoever comes second works on the first one.
OPEN_STATES = "state IN ('draft', 'submitted', 'returned')"
sa.Index(
    "reported_value_open",
    reported_values.c.set_id,
    reported_values.c.indicator,
    reported_values.c.cluster,
    reported_values.c.period,
    unique=True,
    sqlite_where=sa.text(OPEN_STATES),
    postgresql_where=sa.text(OPEN_STATES),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("subject_kind", sa.String(16), nullable=False),
    sa.Column("subject_id", sa.String(40), nullable=False),
    sa.Column("criterion", sa.String(64)),
    sa.Column("filename", sa.String(200), nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("object_key", sa.String(200), nullable=False),
    sa.Column("uploaded_by", sa.String(128), nullable=False),
    sa.Column("uploaded_at", UtcDateTime, nullable=False),
    sa.Index("evidence_subject", "subject_kind", "subject_id", "id"),
)

assessments = sa.Table(
    "assessment",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("org", sa.String(64), nullable=False),
    sa.Column("org_name", sa.String(200), nullable=False),
    sa.Column("year", sa.String(4), nullable=False),
    sa.Column("marks", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("authors", sa.JSON, nullable=False),
    sa.Column("submitter", sa.String(128)),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("reviewer", sa.String(128)),
    sa.Column("reviewed_at", UtcDateTime),
    sa.Column("review_note", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("org", "year", name="assessment_once_a_year"),
)

targets = sa.Table(
    "target",
    metadata,
    sa.Column("cluster", sa.String(64), sa.ForeignKey("cluster.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("set_id", sa.String(64), primary_key=True),
    sa.Column("indicator", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(16), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Weights of a set, or the rule from stars to level: chosen by this platform, not by a document; absent: the default.
choices = sa.Table(
    "choice",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=True),
    sa.Column("subject_kind", sa.String(16), nullable=False),
    sa.Column("subject_id", sa.String(200), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("before", sa.JSON),
    sa.Column("after", sa.JSON),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("by_name", sa.String(200), nullable=False),
    sa.Column("org", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("history_subject", "subject_kind", "subject_id", "seq"),
    sqlite_autoincrement=True,
)
