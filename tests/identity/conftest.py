"""identity on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.identity.brain import Brain


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def brain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brain]:
    """A running identity that tests share; they meet only where they name each other's organisations."""
    home: Path = tmp_path_factory.mktemp("identity")
    if request.param == "sqlite":
        made = Brain(home)
        yield made
        made.close()
        return
    postgres = request.getfixturevalue("postgres")
    prefix = f"t{uuid4().hex[:12]}_"
    made = Brain(home, database_url=postgres.database_url(prefix + "{service}"))
    yield made
    made.close()
    postgres.drop_databases(prefix)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Brain]:
    """An identity of this test alone, without workers."""
    made = Brain(tmp_path, working=False)
    yield made
    made.close()
