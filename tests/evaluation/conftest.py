"""Evaluation with its neighbours, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.evaluation.world import World, build_world


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The running services that tests share; each test works on periods or indicators of its own."""
    home: Path = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAIN_EVALUATION_QUIET_S", "0.3")
        patch.setenv("BRAIN_EVALUATION_POLL_S", "0.05")
        patch.setenv("BRAIN_EVALUATION_KEPT_MONTHS", "1")
        if request.param == "sqlite":
            made = build_world(home)
            yield made
            made.close()
            return
        postgres = request.getfixturevalue("postgres")
        prefix = f"t{uuid4().hex[:12]}_"
        made = build_world(home, database_url=postgres.database_url(prefix + "{service}"))
        yield made
        made.close()
        postgres.drop_databases(prefix)
