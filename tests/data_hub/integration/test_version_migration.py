"""A data hub that was in use before versions were kept."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from brain_kit.database import Database
from data_hub import store

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
    else:
        url = f"sqlite:///{tmp_path / 'hub.db'}"
    made = Database(url, name="data-hub")
    yield made
    made.close()


def run(database: Database, number: str) -> None:
    """One migration script."""
    script = importlib.import_module(f"data_hub.migrations.versions.{number}")
    with database.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        script.upgrade()


def test_versions_so_far_are_told_from_the_pushes_that_made_them(database: Database) -> None:
    """Two pushes of one commit, then one of the next: the data set's number 7 belongs to the last of them."""
    run(database, "0001_hub")
    pushes = [("psh_1", "11", 0, 3), ("psh_2", "11", 0, 4), ("psh_3", "12", 1, 5), ("psh_4", None, 2, 0)]
    hub = store.metadata.tables
    with database.transaction() as session:
        session.execute(
            sa.insert(hub["dataset"]).values(
                name="public.a", warehouse="public", version="1.0.0", contract={}, sequence=7, snapshot="12",
                rows=12, bytes=1, files=1, created_at=START,
            )
        )  # fmt: skip
        for place, (push, snapshot, minutes, accepted) in enumerate(pushes):
            session.execute(
                sa.insert(hub["push"]).values(
                    id=push, dataset="public.a", owner="org", subject="key", mode="append", accepted=accepted,
                    state="committed" if snapshot else "refused", contract_version="1.0.0", media_type="x",
                    position=place, snapshot=snapshot, created_at=START,
                    committed_at=START + timedelta(minutes=minutes),
                )
            )  # fmt: skip
    run(database, "0003_versions")

    with database.reading() as session:
        found = store.get_versions(session, "public.a", ["11", "12"])
    assert {name: record.sequence for name, record in found.items()} == {"11": 6, "12": 7}
    assert [push["id"] for push in found["11"].pushes] == ["psh_1", "psh_2"]
    assert found["12"].pushes == [{"id": "psh_3", "owner": "org", "mode": "append", "accepted": 5}]
    assert (found["11"].committed_at, found["11"].rows) == (START, None)
