"""The committer against the simple model: a dictionary from (owner, key) to row, changed one row after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from brain_kit.service import Platform
from data_hub import store
from data_hub.service.commit import Committer
from data_hub.service.metrics import HubMetrics
from data_hub.service.waiting import PushWaiters
from data_hub.settings import Settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.data_hub.hub import OTHER_PROVIDER, PROVIDER, Hub, contract, running

OWNERS = (PROVIDER, OTHER_PROVIDER)
ROW = st.fixed_dictionaries({"k1": st.integers(0, 3), "k2": st.sampled_from("ab"), "v": st.integers(0, 9)})
PUSH = st.tuples(
    st.sampled_from(OWNERS),
    st.sampled_from(["append", "append", "upsert", "delete"]),
    st.lists(ROW, min_size=1, max_size=5, unique_by=lambda row: (row["k1"], row["k2"])),
)
# Each inner list is pushed first and then committed together.
ROUNDS = st.lists(st.lists(PUSH, min_size=1, max_size=6), min_size=1, max_size=4)
Key = tuple[str, int, str]


class Model:
    """What the table should hold, and how many rows of each push should be accepted."""

    def __init__(self) -> None:
        self.rows: dict[Key, int] = {}

    def apply(self, owner: str, mode: str, rows: list[dict[str, Any]]) -> list[int]:
        """Numbers of the rows that come back."""
        rejected = []
        for number, row in enumerate(rows, 1):
            key = (owner, row["k1"], row["k2"])
            if mode == "delete":
                self.rows.pop(key, None)
            elif mode == "append" and key in self.rows:
                rejected.append(number)
            else:
                self.rows[key] = row["v"]
        return rejected


@pytest.fixture(scope="module", params=["folder", "cluster"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose committer runs when the test says so: on SQLite and a folder, on PostgreSQL and S3."""
    options: dict[str, Any] = {"workers": False, "data_hub_small_push_bytes": 150, "data_hub_segment_bytes": 1 << 16}
    if request.param == "cluster":
        postgres, s3 = request.getfixturevalue("postgres"), request.getfixturevalue("s3")
        options["database_url"] = postgres.database_url(f"model{uuid4().hex[:10]}_{{service}}")
        options["objects_url"] = s3.make_bucket(f"model{uuid4().hex[:10]}")
    yield from running(tmp_path_factory.mktemp("model"), **options)


def new_table(hub: Hub) -> str:
    """A fresh data set."""
    name = f"public.t{uuid4().hex[:16]}"
    columns = {"k1": "integer", "k2": "string", "v": "integer"}
    answer = hub.put_contract(name, contract(name, columns, ["k1", "k2"], example={"k1": 1, "k2": "a", "v": 1}))
    assert answer.status == 201, answer.data
    return name


def table_of(hub: Hub, name: str) -> dict[Key, int]:
    """The table by key; fails when a key is there twice."""
    rows = hub.rows(name)
    found = {(row["_owner"], row["k1"], row["k2"]): row["v"] for row in rows}
    assert len(found) == len(rows)
    return found


def check_rounds(hub: Hub, rounds: list[list[tuple[str, str, list[dict[str, Any]]]]], pause: Any) -> None:
    """Pushes and commits in rounds; afterwards table, receipts, rejects and figures equal the model."""
    committer: Committer = hub.runtime.extras["committer"]
    name, model = new_table(hub), Model()
    for pushes in rounds:
        expected = []
        for owner, mode, rows in pushes:
            answer = hub.push(name, rows, mode=mode, org=owner, wait=0)
            assert answer.status == 202, answer.data
            expected.append((answer.json()["id"], owner, model.apply(owner, mode, rows), len(rows)))
            pause(name)
        while committer.commit_once(name):
            pass
        for push_id, owner, rejected, count in expected:
            receipt = hub.call("GET", f"/v1/pushes/{push_id}", org=owner).json()
            assert receipt["state"] == ("refused" if len(rejected) == count else "committed")
            assert (receipt["accepted"], receipt["rejected"]) == (count - len(rejected), len(rejected))
            assert [item["row"] for item in receipt["rejects"]] == rejected
        assert table_of(hub, name) == model.rows
        with hub.database.reading() as session:
            record = store.get_dataset(session, name)
        assert record is not None
        assert record.rows == len(model.rows)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS)
def test_any_sequence_of_pushes_gives_what_the_model_says(hub: Hub, rounds: Any) -> None:
    """Appends, upserts and deletions of two owners, small and large, batched in any way."""
    check_rounds(hub, rounds, pause=lambda name: None)


def test_a_long_history_stays_right_and_its_files_few(hub: Hub) -> None:
    """Sixty commits, so that small files are folded on the way."""
    chance = random.Random(4)
    rounds = [
        [
            (
                chance.choice(OWNERS),
                chance.choice(["append", "upsert", "upsert", "delete"]),
                [{"k1": k, "k2": "a", "v": chance.randrange(10)} for k in chance.sample(range(400), 5)],
            )
        ]
        for _ in range(60)
    ]

    check_rounds(hub, rounds, pause=lambda name: None)

    with hub.database.reading() as session:
        records = store.list_datasets(session)
    newest = max((record for record in records if record.sequence > 30), key=lambda record: record.created_at)
    assert newest.files < 40


def test_two_committers_at_once_apply_each_push_once(hub: Hub) -> None:
    """Both believe to hold the lease and start from the same state; one of them gives up and starts again."""
    first: Committer = hub.runtime.extras["committer"]
    second = second_committer(hub)
    second._has_lease = first._has_lease = lambda dataset: True  # type: ignore[method-assign]
    name, model = new_table(hub), Model()
    for _ in range(4):
        rows = [{"k1": place, "k2": "a", "v": place} for place in range(5)]
        for owner in OWNERS:
            hub.push(name, rows, mode="upsert", org=owner, wait=0)
            model.apply(owner, "upsert", rows)
        original = second._apply

        def overtaken(*arguments: Any, original: Any = original) -> Any:
            second._apply = original  # type: ignore[method-assign]
            applied = original(*arguments)
            assert first.commit_once(name)
            return applied

        second._apply = overtaken  # type: ignore[method-assign]
        assert second.commit_once(name)
        while first.commit_once(name) or second.commit_once(name):
            pass

        assert table_of(hub, name) == model.rows
    with hub.database.reading() as session:
        record = store.get_dataset(session, name)
    assert record is not None
    assert record.sequence == 4
    for committer in (first, second):
        del committer._has_lease
    second.close()


def second_committer(hub: Hub) -> Committer:
    """Another committer on the same database, as in another process."""
    platform = Platform(hub.platform.settings, name="second")
    platform.tokens = hub.platform.tokens
    from data_hub.engine.warehouse import Warehouse

    database = platform.database("data-hub")
    own = Settings(**hub.platform.settings.model_dump())
    metrics = HubMetrics(CollectorRegistry())
    return Committer(database, Warehouse(database, platform.objects), own, PushWaiters(), metrics)


def test_a_lease_keeps_others_away_until_it_ends(hub: Hub) -> None:
    """And is given back when its holder ends."""
    first, second = hub.runtime.extras["committer"], second_committer(hub)
    name = new_table(hub)
    hub.push(name, [{"k1": 1, "k2": "a", "v": 1}], wait=0)

    assert first._has_lease(name)
    assert not second.commit_once(name)
    first.close()
    assert second.commit_once(name)
    second.close()
    first._leases.clear()


def test_snapshots_name_their_pushes(hub: Hub) -> None:
    """Whoever reads the table alone can tell which push brought what."""
    committer: Committer = hub.runtime.extras["committer"]
    name = new_table(hub)
    ids = [hub.push(name, [{"k1": k, "k2": "a", "v": 1}], wait=0).json()["id"] for k in range(3)]

    assert committer.commit_once(name)

    snapshot = hub.warehouse.table(name).current_snapshot()
    assert snapshot.summary["brain.pushes"] == ",".join(ids)


def test_a_table_is_read_as_it_was(hub: Hub, tmp_path: Path) -> None:
    """By snapshot and by time, after rows were replaced."""
    committer: Committer = hub.runtime.extras["committer"]
    name = new_table(hub)
    states = []
    for value in range(3):
        hub.push(name, [{"k1": 1, "k2": "a", "v": value}], mode="upsert", wait=0)
        committer.commit_once(name)
        states.append(hub.warehouse.table_state(name))

    for state in states:
        assert hub.warehouse.table_state(name, state.snapshot_id).files == state.files
        assert hub.warehouse.table_state(name, state.committed_at).snapshot_id == state.snapshot_id
    assert len({state.files[0].key for state in states}) == 3
