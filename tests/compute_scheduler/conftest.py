"""compute-scheduler on SQLite and on PostgreSQL, and with its agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from brain_kit.database import Database
from brain_testing.databases import create_database
from brain_testing.servers.kubernetes import Kubernetes
from brain_testing.servers.postgres import Postgres
from brain_testing.servers.ray import Ray
from brain_testing.servers.slurm import Slurm

from tests.compute_scheduler.yard import Yard


def migrated(url: str) -> None:
    """Makes a database that others start as copies of: to migrate one for each test took longer than the tests."""
    made = Database(url, name="compute-scheduler")
    made.migrate("compute_scheduler")
    made.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database."""
    path: Path = tmp_path_factory.mktemp("migrated") / "compute.db"
    migrated(f"sqlite:///{path}")
    assert sorted(path.parent.glob("*-wal")) == []  # the file is all of it
    return path


@pytest.fixture(scope="session")
def migrated_name(postgres: Postgres) -> str:
    """The name of a migrated PostgreSQL database."""
    name = f"m{uuid4().hex[:12]}"
    migrated(create_database(postgres.database_url(name)))
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of this test alone."""
    if request.param == "sqlite":
        path = tmp_path / "compute.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        made = Database(f"sqlite:///{path}", name="compute-scheduler")
        yield made
        made.close()
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"t{uuid4().hex[:12]}"
    url = create_database(postgres.database_url(name), template=request.getfixturevalue("migrated_name"))
    made = Database(url, name="compute-scheduler")
    yield made
    made.close()
    postgres.drop_databases(name)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The running service with the agent of this machine, one for a module."""
    made = Yard(tmp_path_factory.mktemp("yard"), log_level="ERROR")
    yield made
    made.close()


# Clusters live as long as the tests of this folder go on in one process: nobody pays for them beside other tests.
@pytest.fixture(scope="package")
def slurms() -> Iterator[dict[str, Slurm]]:
    """Two Slurm clusters, started once: tests that use them run in one process and leave no job behind."""
    with Slurm("alpha") as alpha, Slurm("beta") as beta:
        yield {"alpha": alpha, "beta": beta}


@pytest.fixture(scope="package")
def _ray_heads() -> Iterator[list[Ray]]:
    heads: list[Ray] = []
    yield heads
    for head in heads:
        head.stop()


@pytest.fixture
def ray_head(_ray_heads: list[Ray]) -> Ray:
    """A Ray head, the same for all until a test kills it; its tests run in one process."""
    if not _ray_heads or not _ray_heads[-1].is_running:
        _ray_heads.append(Ray().start())
    return _ray_heads[-1]


@pytest.fixture(scope="package")
def kubernetes() -> Iterator[Kubernetes]:
    """A control plane with two nodes, started once: tests that use it run in one process."""
    with Kubernetes() as made:
        yield made
