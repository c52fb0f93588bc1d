"""Migrations on SQLite and PostgreSQL: once, whole, and safe when several processes start together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.database import Database, DatabaseUnavailable
from brain_kit.database import database as database_module
from brain_testing.servers import Postgres

from tests.brain_kit.sample_service import add_second, write_package

MIGRATE = """
import sys
from brain_kit.database import Database
Database(sys.argv[1]).migrate("sample_service")
print("alembic" in sys.modules)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/sample.db"
    return str(request.getfixturevalue("database_urls")).replace("{service}", "sample")


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The script folder of the importable package `sample_service`."""
    folder = tmp_path / "packages"
    monkeypatch.syspath_prepend(str(folder))
    yield write_package(folder)
    sys.modules.pop("sample_service", None)


def runs(database: Database) -> list[str]:
    """The scripts that ran, one entry for each run."""
    with database.reading() as session:
        return list(session.execute(sa.text("SELECT series FROM effect ORDER BY id")).scalars())


def start(url: str, packages: Path) -> subprocess.Popen[str]:
    """A process that migrates and says whether it had to load Alembic."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", MIGRATE, url], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_new_database_is_created_with_all_tables(url: str, versions: Path) -> None:
    """Folder, file or PostgreSQL database appear by themselves."""
    database = Database(url)
    database.migrate("sample_service")
    with database.reading() as session:
        tables = set(sa.inspect(session.connection()).get_table_names())
    assert tables == {"alembic_version", "outbox", "inbox", "consumer_offset", "dead_letter", "effect"}
    database.close()


@pytest.mark.fault
def test_processes_that_start_together_run_each_script_once(url: str, versions: Path) -> None:
    """Four real processes on a database that does not exist: one works (half a second), nobody fails."""
    add_second(versions, "__import__('time').sleep(0.5)")
    processes = [start(url, versions.parents[2]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    database = Database(url)
    assert runs(database) == ["0001", "0002"]
    database.close()


def test_a_current_database_needs_no_alembic(url: str, versions: Path) -> None:
    """A start with nothing to do does not pay for the import."""
    answers = []
    for _ in range(2):
        process = start(url, versions.parents[2])
        answers.append(process.communicate(timeout=60)[0].strip())
    assert answers == ["True", "False"]


def test_a_new_script_is_run_on_the_old_data(url: str, versions: Path) -> None:
    """An upgrade of the platform upgrades the schema and keeps the rows."""
    database = Database(url)
    database.migrate("sample_service")
    add_second(versions)
    database.migrate("sample_service")
    assert runs(database) == ["0001", "0002"]
    database.close()


def test_a_script_that_fails_leaves_nothing_behind(url: str, versions: Path) -> None:
    """Schema changes are part of the transaction on both databases; the repaired script then runs."""
    database = Database(url)
    database.migrate("sample_service")
    add_second(versions, "raise RuntimeError('power cut')")
    with pytest.raises(RuntimeError, match="power cut"):
        database.migrate("sample_service")
    with database.reading() as session:
        assert "second" not in sa.inspect(session.connection()).get_table_names()
    assert runs(database) == ["0001"]
    add_second(versions)
    database.migrate("sample_service")
    assert runs(database) == ["0001", "0002"]
    database.close()


def test_a_package_without_scripts_is_named(tmp_path: Path) -> None:
    """The error says which package misses what."""
    with pytest.raises(LookupError, match=r"brain_kit has no migrations/versions"):
        Database(f"sqlite:///{tmp_path}/x.db").migrate("brain_kit")


@pytest.mark.servers
def test_a_migration_gives_way_to_a_long_transaction(
    database_url: str, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not queue for a table lock with all later readers behind it; it fails and changes nothing."""
    monkeypatch.setattr(database_module, "DDL_LOCK_TIMEOUT_MS", 200)
    database = Database(database_url)
    database.migrate("sample_service")
    add_second(versions, "op.add_column('effect', sa.Column('extra', sa.Integer))")
    with database.transaction() as session:
        session.execute(sa.text("SELECT count(*) FROM effect"))
        with pytest.raises(DatabaseUnavailable):
            Database(database_url).migrate("sample_service")
    database.migrate("sample_service")
    assert runs(database) == ["0001", "0002"]
    database.close()


@pytest.mark.servers
def test_a_wrong_server_is_unavailable_not_created(postgres: Postgres, versions: Path) -> None:
    """A refused connection is reported as such."""
    database = Database("postgresql://brain@127.0.0.1:1/sample")
    with pytest.raises(DatabaseUnavailable):
        database.migrate("sample_service")
