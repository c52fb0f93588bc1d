"""Transactions on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.database import Database, DatabaseUnavailable, UtcDateTime
from brain_kit.database import database as database_module
from brain_testing.servers import Postgres

ADD_IN_A_PROCESS = """
import sys, time
import sqlalchemy as sa
from brain_kit.database import Database

database = Database(sys.argv[1])
for _ in range(40):
    with database.transaction() as session:
        lock = "" if database.is_sqlite else " FOR UPDATE"
        before = session.execute(sa.text("SELECT value FROM counter" + lock)).scalar_one()
        time.sleep(0.005)
        session.execute(sa.text("UPDATE counter SET value = :value"), {"value": before + 1})
    time.sleep(0.005)
"""
metadata = sa.MetaData()
counter = sa.Table(
    "counter",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("at", UtcDateTime),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with one counter at 0."""
    url = f"sqlite:///{tmp_path}/some-service.db" if request.param == "sqlite" else "database_url"
    database = Database(url if request.param == "sqlite" else request.getfixturevalue(url))
    metadata.create_all(database.engine)
    with database.transaction() as session:
        session.execute(sa.insert(counter), [{"id": 1, "value": 0, "at": None}])
    yield database
    database.close()


def value(database: Database) -> int:
    """What is committed."""
    with database.reading() as session:
        return int(session.execute(sa.select(counter.c.value)).scalar_one())


def add(database: Database, number: int = 1) -> None:
    """Read, think, write: loses counts unless writers are kept apart."""
    with database.transaction() as session:
        query = sa.select(counter.c.value).with_for_update()
        before = session.execute(query).scalar_one()
        session.execute(sa.update(counter).values(value=before + number))


def test_a_block_that_ends_well_is_committed(database: Database) -> None:
    """Visible to the next reader."""
    add(database, 5)
    assert value(database) == 5


def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    """Everything in it is taken back, and the error is the caller's own."""
    with pytest.raises(ZeroDivisionError), database.transaction() as session:  # noqa: PT012
        session.execute(sa.update(counter).values(value=9))
        raise ZeroDivisionError
    assert value(database) == 0


def test_writers_in_many_threads_lose_no_update(database: Database) -> None:
    """8 threads, 25 increments each, through two Database objects for the same database."""
    other = Database(database.engine.url.render_as_string(hide_password=False))

    def work(target: Database) -> None:
        for _ in range(25):
            add(target)

    threads = [threading.Thread(target=work, args=((database, other)[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(database) == 200
    other.close()


@pytest.mark.fault
def test_writers_in_several_processes_lose_no_update(database: Database) -> None:
    """Two processes read, think and write 40 times each; none fails, nothing is lost."""
    url = database.engine.url.render_as_string(hide_password=False)
    processes = [subprocess.Popen([sys.executable, "-c", ADD_IN_A_PROCESS, url]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert value(database) == 80


def test_readers_go_on_while_a_writer_is_at_work(database: Database) -> None:
    """They see the state before it."""
    with database.transaction() as session:
        session.execute(sa.update(counter).values(value=7))
        started = time.monotonic()
        assert value(database) == 0
        assert time.monotonic() - started < 5
    assert value(database) == 7


def test_times_keep_their_moment_and_come_back_in_utc(database: Database) -> None:
    """12:00 in Beijing is 04:00 UTC on both databases, microseconds included."""
    noon = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    with database.transaction() as session:
        session.execute(sa.update(counter).values(at=noon))
    with database.reading() as session:
        read = session.execute(sa.select(counter.c.at)).scalar_one()
    assert read == datetime(2026, 5, 1, 4, 0, 0, 123456, tzinfo=UTC)
    assert read.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(database: Database) -> None:
    """A zone is never guessed."""
    with pytest.raises(sa.exc.StatementError, match="naive"), database.transaction() as session:
        session.execute(sa.update(counter).values(at=datetime(2026, 5, 1)))  # noqa: DTZ001


def test_a_named_lock_has_one_holder(database: Database) -> None:
    """A second one is told so at once; after the first it gets the lock."""
    lock = database.exclusive
    with lock("relay") as first, lock("relay") as second, lock("other") as other:
        assert (first, second, other) == (True, False, True)
    with database.exclusive("relay") as third:
        assert third


def test_a_wrong_statement_is_not_an_outage(database: Database) -> None:
    """A mistake must be seen as one, not waited for."""
    with pytest.raises(sa.exc.DBAPIError), database.transaction() as session:
        session.execute(sa.text("SELECT * FROM missing"))


def test_the_name_of_the_service_comes_from_the_database(tmp_path: Path) -> None:
    """Database names have underscores, services dashes."""
    assert Database(f"sqlite:///{tmp_path}/data_hub.db").name == "data-hub"
    assert Database("postgresql://brain@127.0.0.1:1/data_hub").name == "data-hub"


@pytest.mark.parametrize("url", ["mysql://root@127.0.0.1/x", "sqlite://", "sqlite:///"])
def test_other_databases_are_refused(url: str) -> None:
    """Also SQLite in memory, which threads could not share."""
    with pytest.raises(ValueError, match=r"sqlite:///FILE or postgresql://"):
        Database(url)


def test_a_transaction_inside_another_of_the_same_thread_is_refused(tmp_path: Path) -> None:
    """On SQLite it would wait for itself; the error says what to do."""
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.transaction(), pytest.raises(RuntimeError, match="pass its session on"), database.transaction():
        raise AssertionError("entered twice")


def test_a_sqlite_that_stays_busy_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer in the way longer than the timeout gives 503, not an endless wait."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.1)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    refused: list[BaseException] = []

    def try_it() -> None:
        try:
            with database.transaction():
                refused.append(AssertionError("entered"))
        except DatabaseUnavailable as problem:
            refused.append(problem)

    with database.transaction():
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert [type(error) for error in refused] == [DatabaseUnavailable]


def test_sqlite_keeps_commits_over_a_power_cut(tmp_path: Path) -> None:
    """WAL for readers beside a writer, FULL (2) so that a commit is on the disk, foreign keys enforced."""
    with Database(f"sqlite:///{tmp_path}/x.db").engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert pragmas == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.servers
@pytest.mark.fault
def test_a_killed_postgresql_is_unavailable_and_found_again(database_url: str, postgres: Postgres) -> None:
    """In a transaction, at its start, and after the restart without any action."""
    database = Database(database_url)
    metadata.create_all(database.engine)
    with database.transaction() as session:
        session.execute(sa.insert(counter), [{"id": 1, "value": 0, "at": None}])
    try:
        with pytest.raises(DatabaseUnavailable), database.transaction() as session:  # noqa: PT012
            session.execute(sa.update(counter).values(value=1))
            postgres.kill()
            session.execute(sa.update(counter).values(value=2))
        with pytest.raises(DatabaseUnavailable):
            add(database)
        with pytest.raises(DatabaseUnavailable):
            database.ping()
    finally:
        postgres.restart()
    add(database, 3)
    assert value(database) == 3
    database.close()
