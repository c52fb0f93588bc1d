"""The audit chain: appended through events, and no record of it can be changed, cut or put in unseen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from brain_contracts.events import AuditRecorded
from brain_kit.events import Consumer
from identity.consumers import HANDLERS
from identity.service import audit
from identity.store.tables import audit_records, metadata

from tests.identity.brain import PASSWORD, Brain

AT = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


def record(number: int, **changes: Any) -> AuditRecorded:
    """A record of something that was done."""
    values: dict[str, Any] = {
        "at": AT + timedelta(seconds=number),
        "subject": f"usr_{number}",
        "kind": "user",
        "org": "91370300MA3C00001U",
        "name": "张三",
        "action": "dataset.push",
        "object": f"public.enterprise/{number}",
        "outcome": "ok",
        "detail": {"rows": number, "share": 0.1, "title": "机床"},
    }
    return AuditRecorded(**(values | changes))


@pytest.fixture
def chain(fresh: Brain) -> Brain:
    """An identity whose chain has five records."""
    for number in range(5):
        with fresh.database.transaction() as session:
            audit.append(session, f"evt_{number}", record(number))
    return fresh


def verdict(brain: Brain) -> dict[str, Any]:
    """What the platform says of its chain."""
    found: dict[str, Any] = brain.json("GET", "/v1/audit/verify", brain.operator)
    return found


def test_a_chain_that_nobody_touched_holds(chain: Brain) -> None:
    """Its records are counted; the first one follows on 64 zeros."""
    found = verdict(chain)
    first = chain.json("GET", "/v1/audit", chain.operator)["items"][-1]

    assert (found["ok"], found["records"], found["first_broken"]) == (True, 5, None)
    assert first["previous_hash"] == "0" * 64


def alter(**values: Any) -> Callable[[Any], None]:
    """A change of the third record."""
    return lambda session: session.execute(sa.update(audit_records).where(audit_records.c.seq == 3).values(**values))


def delete(seq: int) -> Callable[[Any], None]:
    """The removal of a record."""
    return lambda session: session.execute(sa.delete(audit_records).where(audit_records.c.seq == seq))


def renumber(session: Any) -> None:
    """Cuts out the third record and closes the gap."""
    delete(3)(session)
    for seq in (4, 5):
        session.execute(sa.update(audit_records).where(audit_records.c.seq == seq).values(seq=seq - 1))


def put_in(session: Any) -> None:
    """Adds a copy of the last record behind it, without the writer's knowledge."""
    row = session.execute(sa.select(audit_records).where(audit_records.c.seq == 5)).mappings().one()
    session.execute(sa.insert(audit_records).values(**dict(row) | {"seq": 6, "event_id": "forged"}))


@pytest.mark.parametrize(
    ("tamper", "first_broken"),
    [
        (alter(outcome="refused"), 3),
        (alter(subject="usr_9"), 3),
        (alter(detail={"rows": 3, "share": 0.1, "title": "机床"}), 3),
        (alter(at="2026-01-02T03:04:06.123Z"), 3),
        (alter(hash="f" * 64), 3),
        (alter(previous_hash="f" * 64), 3),
        (alter(event_id="other"), 3),
        (delete(1), 1),
        (delete(3), 3),
        (delete(5), 5),  # cut off at the end
        (renumber, 3),
        (put_in, 6),
    ],
)
def test_the_first_record_that_does_not_fit_is_named(
    chain: Brain, tamper: Callable[[Any], None], first_broken: int
) -> None:
    """Altering any field, cutting anywhere, inserting: each is found, at its place."""
    with chain.database.transaction() as session:
        tamper(session)
    found = verdict(chain)

    assert (found["ok"], found["first_broken"]) == (False, first_broken)


def test_deleting_everything_is_found(chain: Brain) -> None:
    """An empty table is not an intact chain."""
    with chain.database.transaction() as session:
        session.execute(sa.delete(audit_records))

    assert verdict(chain)["first_broken"] == 1


def test_text_that_a_database_refuses_is_recorded_all_the_same(brain: Brain) -> None:
    """NUL, lone surrogates and overlong names must not let anybody act unseen."""
    with brain.database.transaction() as session:
        nasty = record(1, subject="usr_nasty", name="a\u0000b" * 100, object="x" * 900, detail={"k\u0000": ["\u0000"]})
        audit.append(session, f"evt_nasty_{id(session)}", nasty)

    found = brain.audit_of("usr_nasty")[0]
    assert "\u0000" not in str(found)
    assert verdict(brain)["ok"]


def test_every_write_is_recorded_in_the_chain(brain: Brain) -> None:
    """Who, what and on which object, through the event bus; the chain holds."""
    holder = brain.holder()
    rotated = brain.json("POST", f"/v1/keys/{holder.key_id}/rotate", holder.token)
    brain.call("DELETE", f"/v1/keys/{rotated['id']}", holder.token)
    user = brain.user(holder.uscc)
    brain.json("PATCH", f"/v1/users/{user['id']}", brain.operator, json={"state": "disabled"})
    brain.json("PATCH", f"/v1/organisations/{holder.uscc}", brain.operator, json={"name": "新名"})

    about = [holder.uscc, holder.key_id, rotated["id"], user["id"]]
    brain.audit_of(holder.uscc, at_least=2)
    actions = {item["action"] for name in about for item in brain.audit_of(name)}
    assert actions == {
        "organisation.add", "organisation.change", "key.add", "key.rotate", "key.revoke", "user.add", "user.change",
    }  # fmt: skip
    revoked = next(item for item in brain.audit_of(rotated["id"]) if item["action"] == "key.revoke")
    assert (revoked["subject"], revoked["kind"], revoked["org"]) == (holder.key_id, "key", holder.uscc)
    assert verdict(brain)["ok"]


def test_no_secret_reaches_the_chain_or_the_events(brain: Brain) -> None:
    """Neither keys nor passwords stand in any record or event."""
    holder = brain.holder()
    user = brain.user(holder.uscc)
    brain.sign_in(user["login"], PASSWORD)
    brain.audit_of(user["id"], at_least=2)
    outbox = metadata.tables["outbox"]
    with brain.database.reading() as session:
        told = str(session.execute(sa.select(outbox)).all()) + str(session.execute(sa.select(audit_records)).all())

    assert user["id"] in told
    assert PASSWORD not in told
    assert holder.key.split("_", 2)[2] not in told


def test_events_that_come_twice_are_recorded_once(fresh: Brain) -> None:
    """A consumer that lost its position and starts from the beginning adds nothing."""
    fresh.key(fresh.home_org, "ERP")

    def consume() -> int:
        stop = threading.Event()
        consumer = Consumer("identity", fresh.database, fresh.platform.bus, HANDLERS)
        thread = threading.Thread(target=consumer.run, args=(stop,))
        thread.start()
        deadline = time.monotonic() + 10
        while sum(consumer.lag().values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        stop.set()
        thread.join(10)
        return int(verdict(fresh)["records"])

    first = consume()
    with fresh.database.transaction() as session:
        forgotten = session.execute(sa.delete(metadata.tables["consumer_offset"]).returning(sa.literal(1))).all()
    assert forgotten
    assert first >= 2
    assert consume() == first


def test_writers_at_the_same_moment_make_one_chain(brain: Brain) -> None:
    """Appending from many threads leaves neither a gap nor a fork."""

    def append(number: int) -> None:
        with brain.database.transaction() as session:
            audit.append(session, f"evt_race_{number}", record(number, subject="usr_race"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    found = verdict(brain)
    sequences = sorted(item["seq"] for item in brain.audit_of("usr_race", at_least=40))

    assert found["ok"]
    assert len(set(sequences)) == 40


def test_the_log_is_narrowed_by_time_subject_action_and_outcome(chain: Brain) -> None:
    """Times compare as times, with any offset and fraction; since is inclusive, until exclusive."""

    def objects(**params: Any) -> list[str]:
        page = chain.json("GET", "/v1/audit", chain.operator, params=params)
        return [item["object"].rpartition("/")[2] for item in page["items"]]

    assert objects() == ["4", "3", "2", "1", "0"]
    assert objects(since="2026-01-02T03:04:07Z") == ["4", "3", "2"]
    assert objects(since="2026-01-02T11:04:07.123+08:00", until="2026-01-02T03:04:08.123Z") == ["2"]
    assert objects(subject="usr_3") == ["3"]
    assert objects(action="dataset.push", limit=2) == ["4", "3"]
    assert objects(outcome="failed") == []
    assert chain.code("GET", "/v1/audit", chain.operator, params={"since": "yesterday"})[0] == 422


def test_pages_of_the_log_hold_every_record_once(chain: Brain) -> None:
    """Newest first, by keyset."""
    seen: list[int] = []
    after: str | None = None
    while True:
        page = chain.json("GET", "/v1/audit", chain.operator, params={"limit": 2, "after": after})
        seen += [item["seq"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.servers
def test_records_arrive_through_kafka(tmp_path: Path, database_urls: str, events_url: str) -> None:
    """The same over PostgreSQL and a broker, as a cluster runs it."""
    brain = Brain(tmp_path, database_url=database_urls, events_url=events_url)
    try:
        uscc = brain.organisation()
        assert brain.audit_of(uscc, timeout_s=40)[0]["action"] == "organisation.add"
        assert verdict(brain)["ok"]
    finally:
        brain.close()
