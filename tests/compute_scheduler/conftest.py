"""compute-scheduler on SQLite and on PostgreSQL, and with its agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_kit.database import Database
from brain_testing.servers.kubernetes import Kubernetes
from brain_testing.servers.ray import Ray
from brain_testing.servers.slurm import Slurm

from tests.compute_scheduler.yard import Yard


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of this test alone."""
    url = f"sqlite:///{tmp_path}/compute.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
    made = Database(url, name="compute-scheduler")
    made.migrate("compute_scheduler")
    yield made
    made.close()


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The running service with the agent of this machine, one for a module."""
    made = Yard(tmp_path_factory.mktemp("yard"), log_level="ERROR")
    yield made
    made.close()


@pytest.fixture(scope="session")
def slurms() -> Iterator[dict[str, Slurm]]:
    """Two Slurm clusters, started once: tests that use them are of the xdist group `slurm` and leave no job behind."""
    with Slurm("alpha") as alpha, Slurm("beta") as beta:
        yield {"alpha": alpha, "beta": beta}


@pytest.fixture(scope="session")
def _ray_heads() -> Iterator[list[Ray]]:
    heads: list[Ray] = []
    yield heads
    for head in heads:
        head.stop()


@pytest.fixture
def ray_head(_ray_heads: list[Ray]) -> Ray:
    """A Ray head, the same for all until a test kills it; its tests are of the xdist group `ray`."""
    if not _ray_heads or not _ray_heads[-1].is_running:
        _ray_heads.append(Ray().start())
    return _ray_heads[-1]


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Kubernetes]:
    """A control plane with two nodes, started once: tests that use it are of the xdist group `kubernetes`."""
    with Kubernetes() as made:
        yield made
