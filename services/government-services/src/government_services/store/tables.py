"""Tables of the panorama read model."""

from __future__ import annotations

import sqlalchemy as sa
from brain_kit.database import UtcDateTime, event_tables

metadata = sa.MetaData()
event_tables(metadata)

chains = sa.Table(
    "chain",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("definition", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, default=0),
    sa.Column("panorama", sa.JSON),
    sa.Column("digest", sa.String(64)),
    sa.Column("built_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# One row per part and chain that a commit has touched; the marker tells a newer commit from the one being worked on.
dirty = sa.Table(
    "dirty_part",
    metadata,
    sa.Column("chain", sa.String(64), sa.ForeignKey("chain.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("part", sa.String(100), primary_key=True),
    sa.Column("marker", sa.String(64), nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
)

# Facts of a part are read and written whole, so one JSON document a part is simpler and faster than a table a kind.
part_facts = sa.Table(
    "part_facts",
    metadata,
    sa.Column("chain", sa.String(64), sa.ForeignKey("chain.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("part", sa.String(100), primary_key=True),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("snapshot", sa.String(40)),
    sa.Column("read_at", UtcDateTime, nullable=False),
)
