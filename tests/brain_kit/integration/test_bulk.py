"""Many rows in and out of one statement, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.database import Database, UtcDateTime
from brain_kit.database.bulk import insert_rows, rows_of

metadata = sa.MetaData()
things = sa.Table(
    "thing",
    metadata,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("order", sa.Integer, nullable=False),
    sa.Column("share", sa.Float),
    sa.Column("is_new", sa.Boolean, nullable=False),
    sa.Column("at", UtcDateTime),
    sa.Column("on", sa.Date),
    sa.Column("words", sa.JSON),
    sa.Column("absent", sa.JSON(none_as_null=True)),
    sa.Column("bytes", sa.LargeBinary),
    sa.Column("given", sa.Integer, nullable=False, server_default="7"),
)
WHEN = datetime(2026, 11, 30, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
ROWS: list[dict[str, Any]] = [
    {
        "id": "a", "order": 1, "share": 0.1, "is_new": True, "at": WHEN, "on": WHEN.date(), "words": {"钢": [1, None]},
        "absent": None, "bytes": b"\0\xff",
    },
    {
        "id": "b", "order": 2, "share": None, "is_new": False, "at": None, "on": None, "words": None, "absent": {},
        "bytes": None,
    },
]  # fmt: skip


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with an empty table of every type that services keep."""
    url = f"sqlite:///{tmp_path}/some-service.db" if request.param == "sqlite" else "database_url"
    made = Database(url if request.param == "sqlite" else request.getfixturevalue(url))
    metadata.create_all(made.engine)
    yield made
    made.close()


def test_rows_are_stored_as_by_the_plain_way(database: Database) -> None:
    """The same rows, and the very same stored bytes, as `session.execute(sa.insert(...))` leaves."""
    stored = sa.text('SELECT "order", share, is_new, at, "on", CAST(words AS text), absent IS NULL, bytes FROM thing')
    left = []
    for add in (lambda session: insert_rows(session, things, ROWS), lambda s: s.execute(sa.insert(things), ROWS)):
        with database.transaction() as session:
            session.execute(sa.delete(things))
            add(session)
        with database.reading() as session:
            left.append([tuple(row) for row in session.execute(stored)])
    assert left[0] == left[1]
    with database.reading() as session:
        first, second = rows_of(session.execute(sa.select(things).order_by(things.c.id)))
    assert first == ROWS[0] | {"given": 7, "at": WHEN.astimezone(UTC)}
    assert second == ROWS[1] | {"given": 7}


def test_a_row_that_is_there_refuses_all(database: Database) -> None:
    """Nothing of the batch is left."""
    with database.transaction() as session:
        insert_rows(session, things, ROWS[1:])
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as session:
        insert_rows(session, things, ROWS)
    with database.reading() as session:
        assert [row["id"] for row in rows_of(session.execute(sa.select(things)))] == ["b"]


def test_no_rows_are_no_statement(database: Database) -> None:
    """The caller need not ask."""
    with database.transaction() as session:
        insert_rows(session, things, [])
        assert rows_of(session.execute(sa.select(things))) == []
