"""compute-scheduler on SQLite and on PostgreSQL, and with its agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_kit.database import Database

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
