"""Copies of service databases, what their tables hold, and the versions of their schemas."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.manifest import DatabaseTable

ROWS_AT_ONCE = 2000


def copy_database(reader: sqlite3.Connection, target: Path) -> None:
    """Writes what the reader's open transaction sees to a new file. Raises BackupRefused when the disk is full."""
    try:
        with closing(sqlite3.connect(target)) as copy:
            reader.backup(copy)
    except sqlite3.Error as error:
        raise BackupRefused(f"备份没有写完：数据库无法复制到 {target.parent}（{error}）；没有留下半个文件") from error


def table_digests(reader: sqlite3.Connection) -> dict[str, DatabaseTable]:
    """Rows and digest of each table, in the order of their insertion."""
    names = [
        row[0]
        for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        if not row[0].startswith("sqlite_stat")
    ]
    return {name: _digest(reader, name) for name in names}


def schema_revision(reader: sqlite3.Connection) -> str | None:
    """The migration that a service's database is at; None for a file of another kind."""
    known = reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = reader.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return None if row is None else str(row[0])


def _digest(reader: sqlite3.Connection, table: str) -> DatabaseTable:
    quoted = table.replace('"', '""')
    order = "rowid" if _has_rowid(reader, quoted) else "1"
    digest = hashlib.sha256()
    count = 0
    cursor = reader.execute(f'SELECT * FROM "{quoted}" ORDER BY {order}')
    digest.update(repr([column[0] for column in cursor.description]).encode())
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        count += len(rows)
        digest.update(repr(rows).encode())
    return DatabaseTable(count, digest.hexdigest())


def _has_rowid(reader: sqlite3.Connection, quoted: str) -> bool:
    try:
        reader.execute(f'SELECT rowid FROM "{quoted}" LIMIT 1')
    except sqlite3.OperationalError:
        return False
    return True
