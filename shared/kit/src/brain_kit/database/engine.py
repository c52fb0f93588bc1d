"""Engines: one way to open SQLite and PostgreSQL, and the words for "the database is away"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from brain_kit.problems import Unavailable

BUSY_TIMEOUT_S = 30.0
WRITE = "brain_write"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, was lost in the middle, or stayed busy too long. Nothing was half written."""

    code = "database_unavailable"
    title = "Database unavailable"


def parse_url(url: str) -> URL:
    """The URL with the driver this kit uses. Raises ValueError for other databases than SQLite and PostgreSQL."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database:
        return parsed.set(drivername="sqlite")
    raise ValueError(f"database_url must be sqlite:///FILE or postgresql://..., not {backend}:")


def open_engine(url: URL) -> sa.Engine:
    """A lazily connecting engine for the parsed URL; the folder of a SQLite file is created."""
    # Without hide_parameters the text of every database error carries row values and hashes into the logs.
    options: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": orjson.loads,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **options)
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin)
        return engine
    connect = {"connect_timeout": 5, "keepalives_idle": 30, "application_name": "brain"}
    return sa.create_engine(
        url, connect_args=connect, pool_pre_ping=True, pool_size=5, max_overflow=15, pool_timeout=10, **options
    )


def is_outage(error: BaseException) -> bool:
    """True when the error says that the database is away or busy, and not that the statement was wrong."""
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return False
    if hasattr(error.orig, "sqlite_errorname"):
        name = str(getattr(error.orig, "sqlite_errorname", ""))
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR"))
    state = getattr(error.orig, "sqlstate", None)
    # No SQLSTATE: the client could not connect or lost the line. 08: connection; 57P: shutting down; 53: no room;
    # 55P03: a lock was not free in time.
    return state is None or state.startswith(("08", "57P", "53", "55P03"))


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open and close transactions by itself
    cursor = connection.cursor()
    # synchronous=FULL: consumers keep positions in the outbox of another file. If a power cut took back the last
    # commits of one file only, ids would be given out again below positions already kept, and events be skipped.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later fails at once with SQLITE_BUSY when another one wrote between,
    # whatever the timeout: writers therefore take the lock at the start.
    write = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
