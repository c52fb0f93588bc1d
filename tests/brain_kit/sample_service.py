"""A small package with migrations, written into a folder: the schema that the tests of database and events use."""

from __future__ import annotations

from pathlib import Path

START = '''
"""Start."""

import sqlalchemy as sa
from alembic import op
from brain_kit.database import create_event_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_event_tables(op)
    op.create_table(
        "effect",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("series", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO effect (event_id, series, number) VALUES ('migration', '0001', 1)")
'''

SECOND = '''
"""Second."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str = "0001"


def upgrade() -> None:
    op.create_table("second", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO effect (event_id, series, number) VALUES ('migration', '0002', 2)")
    {end}
'''


def write_package(folder: Path, name: str = "sample_service") -> Path:
    """Write the package with its first script into the folder; returns the folder of the scripts."""
    versions = folder / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (versions / "0001_start.py").write_text(START.lstrip())
    return versions


def add_second(versions: Path, end: str = "") -> None:
    """Add (or replace) the second script; `end` is its last line."""
    (versions / "0002_second.py").write_text(SECOND.lstrip().format(end=end))
