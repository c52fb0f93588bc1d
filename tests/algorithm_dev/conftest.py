"""algorithm-dev on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.algorithm_dev.lab import DEPARTMENT, MAKER, NEIGHBOUR, OPERATOR, Lab


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running service that tests share; each uses components of its own."""
    home: Path = tmp_path_factory.mktemp("algorithm")
    url, postgres, prefix = "", None, f"t{uuid4().hex[:12]}_"
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        url = postgres.database_url(prefix + "{service}")
    made = Lab(home, database_url=url, settle_s=0.2)
    yield made
    made.close()
    if postgres is not None:
        postgres.drop_databases(prefix)


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A service on SQLite for what does not depend on the database, with short limits."""
    made = Lab(tmp_path_factory.mktemp("small"), settle_s=0.2, call_seconds=4, box_process_mib=1024)
    yield made
    made.close()


@pytest.fixture
def name() -> str:
    """A component name of this test alone."""
    return f"t-{uuid4().hex[:10]}"


class People:
    """Tokens of those who take part."""

    def __init__(self, lab: Lab) -> None:
        self.maker = lab.token(MAKER, "developer")
        self.analyst = lab.token(DEPARTMENT, "analyst")
        self.operator = lab.token(OPERATOR, "operator")
        self.neighbour = lab.token(NEIGHBOUR, "manager")


@pytest.fixture
def people(lab: Lab) -> People:
    """Tokens for the shared service."""
    return People(lab)


@pytest.fixture
def few(small: Lab) -> People:
    """Tokens for the small service."""
    return People(small)
