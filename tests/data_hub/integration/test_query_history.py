"""The history of queries on SQLite and on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from brain_kit.database import Database
from data_hub.service.query.history import QueryHistory
from data_hub.service.query.tending import Tending
from data_hub.store import queries as store

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def row(number: int, **changed: Any) -> dict[str, Any]:
    """A finished query; three share each moment."""
    return {
        "subject": "key_1",
        "id": f"query-{number:04d}",
        "org": "91370300MA3C00001U",
        "sql": f"SELECT {number} -- 查询",
        "datasets": ["public.enterprise"],
        "format": "json",
        "state": "done",
        "problem": None,
        "rows": number,
        "elapsed_ms": 1.5,
        "started_at": NOW + timedelta(seconds=number // 3),
    } | changed


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
    made = Database(url)
    store.metadata.create_all(made.engine)
    yield made
    made.close()


def test_pages_of_the_history_hold_each_query_once(database: Database) -> None:
    """Newest first, also among queries of one moment."""
    history = QueryHistory(database, days=90)
    for number in range(20):
        history.add(row(number))
    history.add(row(99, subject="key_2"))
    found: list[str] = []
    after: str | None = None
    while True:
        items, after = history.page("key_1", 6, after)
        found += [item["id"] for item in items]
        if after is None:
            break

    assert found == [f"query-{number:04d}" for number in range(19, -1, -1)]


def test_a_query_written_twice_is_there_once(database: Database) -> None:
    """A write whose outcome was unknown is repeated without harm."""
    with database.transaction() as session:
        store.add_queries(session, [row(1), row(2)])
    with database.transaction() as session:
        store.add_queries(session, [row(2), row(3)])
    with database.reading() as session:
        rows = store.recent_queries(session, "key_1", 10)

    assert [item["id"] for item in rows] == ["query-0003", "query-0002", "query-0001"]
    assert (rows[0]["started_at"], rows[0]["datasets"]) == (NOW + timedelta(seconds=1), ["public.enterprise"])


def test_old_queries_are_forgotten(database: Database) -> None:
    """After the days that the setting says."""
    history = QueryHistory(database, days=30)
    history.add(row(1, started_at=datetime.now(UTC) - timedelta(days=31)))
    history.add(row(2, started_at=datetime.now(UTC) - timedelta(days=29)))
    history.flush()
    history.forget()

    assert [item["id"] for item in history.page("key_1", 10, None)[0]] == ["query-0002"]
    assert (history.knows("key_1", "query-0002"), history.knows("key_1", "query-0001")) == (True, False)
    assert not history.knows("key_2", "query-0002")


def test_tasks_run_from_the_first_query_until_the_end() -> None:
    """A task that fails is tried again; at the end everything is done once more, and only once."""
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise RuntimeError("the disk is full")

    tending = Tending(tasks=((0.01, fail),), at_end=(lambda: done.append("end"),))
    time.sleep(0.05)
    before = list(done)
    tending.begin()
    tending.begin()
    while done.count("failed") < 3:
        time.sleep(0.01)
    tending.close()
    tending.close()
    tending.begin()

    assert before == []
    assert done[-1] == "end"
    assert done.count("end") == 1
