"""Audit records are written with the change that they tell about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_contracts.events import AuditRecorded
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import recent_events

from tests.brain_kit.sample_service import write_package

CALLER = Principal("k1", "key", "91370300MA3C00001U", "enterprise", "甲", frozenset({"manager"}), "ERP", "370303")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A service's database."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write_package(tmp_path)
    made = Database(f"sqlite:///{tmp_path}/sample.db")
    made.migrate("sample_service")
    yield made
    made.close()


def records(database: Database) -> list[dict[str, object]]:
    """Data of the audit events in the outbox."""
    items = recent_events(database, topic=AuditRecorded.topic, before=None, limit=10)["items"]
    with database.reading() as session:
        rows = session.execute(sa.text("SELECT data FROM outbox ORDER BY id")).scalars().all()
    assert len(items) == len(rows)
    return [AuditRecorded.model_validate_json(row).model_dump() for row in rows]


def test_a_record_says_who_did_what_to_what(database: Database) -> None:
    """And when, for which organisation, with what outcome."""
    before = utc_now()
    with database.transaction() as session:
        audit.record(session, CALLER, action="dataset.push", object="public.enterprise", detail={"rows": 3})
    after = utc_now()

    (record,) = records(database)
    assert before <= record.pop("at") <= after  # type: ignore[operator]
    assert record == {
        "subject": "k1",
        "kind": "key",
        "org": "91370300MA3C00001U",
        "name": "ERP",
        "action": "dataset.push",
        "object": "public.enterprise",
        "outcome": "ok",
        "detail": {"rows": 3},
    }


def test_what_did_not_happen_leaves_no_record(database: Database) -> None:
    """The record goes with the transaction of the change."""

    def change() -> None:
        with database.transaction() as session:
            audit.record(session, CALLER, action="dataset.push", object="public.enterprise")
            raise RuntimeError("the change failed")

    with pytest.raises(RuntimeError, match="the change failed"):
        change()

    assert records(database) == []
