"""The database of one service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from brain_kit.database.engine import BUSY_TIMEOUT_S, WRITE, DatabaseUnavailable, is_outage, open_engine, parse_url
from brain_kit.database.locks import advisory_lock, file_lock, writer_lock
from brain_kit.database.migration import migrations_folder, newest_revision, stored_revisions, upgrade

MIGRATION_LOCK_S = 120.0
# A migration that waits longer for a table lock than this would block every reader queued behind it.
DDL_LOCK_TIMEOUT_MS = 10_000


class Database:
    """A SQLite file or a PostgreSQL database, opened on first use, safe to share between threads.

    url: `sqlite:///FILE` or `postgresql://user@host:port/name`. name: the service it belongs to, by default the
    database's own name with `-` for `_`; events carry it as their source.
    """

    def __init__(self, url: str, *, name: str = "") -> None:
        self._url = parse_url(url)
        self.engine = open_engine(self._url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.name = name or Path(str(self._url.database)).stem.replace("_", "-")
        # Set by the local event bus: it reads the outbox by id, so ids must appear in the order of the commits.
        self.ordered_outbox = False
        self._writing = self.engine.execution_options(**{WRITE: True})
        self._lock = writer_lock(self.path) if self.is_sqlite else None

    @property
    def path(self) -> Path:
        """The SQLite file. Raises TypeError on PostgreSQL."""
        if not self.is_sqlite:
            raise TypeError("PostgreSQL has no database file")
        return Path(str(self._url.database))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end of the block and rolls back on an error.

        On SQLite it is the only writer from the start. Raises DatabaseUnavailable when the database is away, was
        lost in the block, or stayed busy for 30 s; RuntimeError when this thread already holds a SQLite transaction.
        If the line is lost during the commit itself, the outcome is unknown: repeat with the same ids.
        """
        if self._lock is None:
            with self._session(self._writing) as session, session.begin():
                yield session
            return
        if not self._lock.acquire(BUSY_TIMEOUT_S):
            raise DatabaseUnavailable("数据库正忙，请稍后重试", database=self.name)
        try:
            with self._session(self._writing) as session, session.begin():
                yield session
        finally:
            self._lock.release()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading; on SQLite it sees one moment. Raises DatabaseUnavailable when the database is away."""
        with self._session(self.engine) as session:
            yield session

    def migrate(self, package: str) -> None:
        """Bring the schema to the newest script of `<package>/migrations/versions`; create a missing database.

        Safe when several processes start at once: one works, the others wait and find nothing to do. Raises
        DatabaseUnavailable when the lock is not free within two minutes, LookupError without scripts.
        """
        folder = migrations_folder(package)
        target = newest_revision(folder)
        if not self.is_sqlite:
            self._create_if_missing()
        with self._guarded(), self.engine.connect() as connection:
            if stored_revisions(connection) == {target}:
                return
        with self.exclusive("migrate", timeout_s=MIGRATION_LOCK_S) as held:
            if not held:
                raise DatabaseUnavailable("数据库结构正在升级，请稍后重试", database=self.name)
            with self._guarded(), self._writing.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(sa.text(f"SET LOCAL lock_timeout = {DDL_LOCK_TIMEOUT_MS}"))
                if stored_revisions(connection) != {target}:
                    upgrade(connection, folder)

    @contextmanager
    def exclusive(self, name: str, *, timeout_s: float = 0.0) -> Iterator[bool]:
        """Hold the lock `name` of this database among all processes; yields False when it was not free in time.

        On PostgreSQL the lock lives as long as its connection: after an outage another process may hold it.
        """
        if self.is_sqlite:
            with file_lock(self.path.with_name(f"{self.path.name}.{name}.lock"), timeout_s) as held:
                yield held
            return
        with self._guarded(), self.engine.connect() as connection, advisory_lock(connection, name, timeout_s) as held:
            yield held

    def ping(self) -> None:
        """Ask the database for an answer. Raises DatabaseUnavailable when none comes."""
        with self._guarded(), self.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    def close(self) -> None:
        """Close the pooled connections. The object may be used again afterwards."""
        self.engine.dispose()

    @contextmanager
    def _session(self, engine: sa.Engine) -> Iterator[Session]:
        with self._guarded(), Session(engine, expire_on_commit=False, info={"database": self}) as session:
            yield session

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            if is_outage(error):
                raise DatabaseUnavailable("数据库暂时无法访问，请稍后重试", database=self.name) from error
            raise

    def _create_if_missing(self) -> None:
        try:
            self.ping()
            return
        except DatabaseUnavailable as error:
            # 3D000: invalid_catalog_name. libpq reports a refused start-up without SQLSTATE, only in words.
            if "does not exist" not in str(error.__cause__):
                raise
        admin = open_engine(self._url.set(database="postgres"))
        try:
            with self._guarded(), admin.connect() as connection, advisory_lock(connection, "create-database", 60.0):
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
                if connection.execute(known, {"name": self._url.database}).scalar() is None:
                    quoted = admin.dialect.identifier_preparer.quote(str(self._url.database))
                    connection.execute(sa.text(f"CREATE DATABASE {quoted}"))
        finally:
            admin.dispose()
