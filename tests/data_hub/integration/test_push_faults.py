"""Dying processes, full disks, servers that go away: nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from brain_kit.clock import utc_now
from brain_kit.objects.errors import StoreFull
from brain_testing.faulty import FaultyProxy
from data_hub import store
from data_hub.engine import segments
from data_hub.service.large import LargePushes
from data_hub.service.sweep import Sweeper
from data_hub.settings import Settings

from tests.data_hub.bodies import ndjson
from tests.data_hub.hub import PROVIDER, Hub, contract, running

ROOT = Path(__file__).parents[3]
ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "3"))
THING = "public.thing"
THING_CONTRACT = contract(THING, {"id": "string", "n": "integer"}, ["id"], example={"id": "a", "n": 1})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub without workers, every body taken the way of large ones above 20 kB."""
    options = {"data_hub_small_push_bytes": 20_000, "data_hub_segment_bytes": 1 << 16, "data_hub_push_lease_s": 1}
    for hub in running(tmp_path, workers=False, **options):
        assert hub.put_contract(THING, THING_CONTRACT).status == 201
        yield hub


class CommitterProcess:
    """The committer as a process."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "tests.data_hub.committer_process", str(home)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"committing\n"

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_committer_loses_and_doubles_nothing(hub: Hub) -> None:
    """SIGKILL at random moments in a stream of appends, upserts and deletions of small and large pushes."""
    home, chance = hub.platform.settings.home, random.Random(11)
    model: dict[str, int] = {}
    ended = threading.Event()
    failures: list[Any] = []

    def stream() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            size = 800 if number % 7 == 0 else 10
            rows = [{"id": f"{number % 5}-{place}", "n": number} for place in range(size)]
            mode = "delete" if number % 6 == 0 else "upsert"
            answer = hub.push(THING, rows, mode=mode, wait=0)
            if answer.status != 202:
                failures.append(answer.data)
            for row in rows:
                if mode == "delete":
                    model.pop(row["id"], None)
                else:
                    model[row["id"]] = number

    pusher = threading.Thread(target=stream)
    pusher.start()
    for _ in range(ROUNDS):
        committer = CommitterProcess(home)
        time.sleep(chance.uniform(0.1, 1.5))
        committer.kill()
    ended.set()
    pusher.join()
    assert failures == []

    last = CommitterProcess(home)
    deadline = time.monotonic() + 120
    while store_states(hub).get("validated"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    last.kill()

    rows = hub.rows(THING)
    assert {row["id"]: row["n"] for row in rows} == model
    assert len(rows) == len(model)
    assert set(store_states(hub)) == {"committed"}


def store_states(hub: Hub) -> dict[str, int]:
    """Pushes by state."""
    with hub.database.reading() as session:
        return store.count_by_state(session)


def large_body(rows: int = 6000) -> bytes:
    """A body that is taken the way of large ones."""
    return ndjson([{"id": f"row{place}", "n": place} for place in range(rows)])


def test_an_interrupted_large_push_is_refused_and_may_be_sent_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies while the body comes in: state received, a lease that ends, objects and files left behind."""
    body = large_body()
    halted = threading.Event()

    def die(self: Any) -> None:
        halted.set()
        time.sleep(3600)

    with monkeypatch.context() as patched:
        patched.setattr(segments.LineSegments, "close", die)
        patched.setattr(LargePushes, "_keep_leases", lambda self: None)  # nor does it keep its lease any more
        threading.Thread(target=lambda: hub.push(THING, body, key="k", wait=0), daemon=True).start()
        assert halted.wait(20)
    waiting = hub.push(THING, body, key="k", wait=0)
    assert (waiting.status, waiting.json()["code"]) == (409, "push_in_progress")
    assert waiting.headers["Retry-After"]

    with hub.database.reading() as session:
        (record,) = store.list_pushes(session, owner=PROVIDER)
    assert record.state == "received"
    deadline = time.monotonic() + 20
    while not [info.key for info in hub.platform.objects.list("tables/") if record.id in info.key]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with hub.database.transaction() as session:
        store.renew_leases(session, [record.id], utc_now() - timedelta(seconds=1))
    spool = hub.platform.settings.home / "spool" / "data-hub"
    old = time.time() - 3600
    os.utime(spool / record.id, (old, old))

    assert Sweeper(hub.database, hub.platform.objects, Settings(**hub.platform.settings.model_dump())).sweep() == 1

    after = hub.call("GET", f"/v1/pushes/{record.id}").json()
    assert (after["state"], after["problems"][0]["code"]) == ("refused", "interrupted")
    assert [info.key for info in hub.platform.objects.list("tables/") if record.id in info.key] == []
    assert not (spool / record.id).exists()
    hub.start_workers("committer")
    again = hub.push(THING, body, key="k").json()
    assert (again["state"], again["accepted"]) == ("committed", 6000)
    assert len(hub.rows(THING)) == 6000


def test_folders_of_dead_committers_are_swept(hub: Hub) -> None:
    """A folder names the process that made it."""
    spool = hub.platform.settings.home / "spool" / "data-hub"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (spool / f"commit-{dead.pid}-x" / "duck").mkdir(parents=True)
    (spool / f"commit-{os.getpid()}-x").mkdir()

    Sweeper(hub.database, hub.platform.objects, Settings(**hub.platform.settings.model_dump())).sweep()

    assert not (spool / f"commit-{dead.pid}-x").exists()
    assert (spool / f"commit-{os.getpid()}-x").exists()


@pytest.mark.parametrize("where", ["spool", "typing", "objects"])
def test_a_full_disk_refuses_the_push_and_leaves_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """507, wherever it is met; the same push gets in once there is room, under the same Idempotency-Key."""
    body = large_body()
    with monkeypatch.context() as patched:
        fill_disk(patched, hub, where)
        answer = hub.push(THING, body, key="full", wait=0)
        assert answer.status == 507
        assert answer.json()["code"] in ("spool_full", "store_full")

    spool = hub.platform.settings.home / "spool" / "data-hub"
    assert [path.name for path in spool.iterdir() if path.name.startswith("psh_")] == []
    assert list(hub.platform.objects.list("staged/")) == []
    assert list(hub.platform.objects.list("tables/")) == []
    hub.start_workers("committer")
    again = hub.push(THING, body, key="full").json()
    assert (again["state"], again["accepted"]) == ("committed", 6000)


def fill_disk(patched: pytest.MonkeyPatch, hub: Hub, where: str) -> None:
    """Makes one of the places where a push writes run out of room."""
    if where == "spool":

        def full(self: Any, *pieces: bytes) -> None:
            with segments.disk_errors():
                raise OSError(28, "No space left on device")

        patched.setattr(segments.LineSegments, "_put", full)
    elif where == "typing":

        def write_table(self: Any, table: Any, group: int) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("pyarrow.parquet.ParquetWriter.write_table", write_table)
    else:

        def put_file(key: str, path: Path, **options: Any) -> None:
            raise StoreFull("对象存储已满", store="test")

        patched.setattr(hub.platform.objects, "put_file", put_file)


def test_a_commit_that_finds_the_store_full_waits_and_then_succeeds(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push stays validated; nothing of it is visible before."""
    committer = hub.runtime.extras["committer"]
    push = hub.push(THING, [{"id": "a", "n": 1}], wait=0).json()

    def put_file(key: str, path: Path, **options: Any) -> None:
        raise StoreFull("对象存储已满", store="test")

    with monkeypatch.context() as patched:
        patched.setattr(hub.platform.objects, "put_file", put_file)
        with pytest.raises(StoreFull):
            committer.commit_once(THING)
    assert hub.call("GET", f"/v1/pushes/{push['id']}").json()["state"] == "validated"
    assert hub.rows(THING) == []

    assert committer.commit_once(THING)
    assert hub.call("GET", f"/v1/pushes/{push['id']}").json()["state"] == "committed"
    assert len(hub.rows(THING)) == 1


def test_readiness_names_the_spool_without_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is well again afterwards."""
    usage = shutil.disk_usage("/")
    with monkeypatch.context() as patched:
        patched.setattr("data_hub.main.shutil.disk_usage", lambda path: usage._replace(free=1000))
        answer = hub.call("GET", "/readyz")
    parts = {part["name"]: part["ok"] for part in answer.json()["parts"]}

    assert (answer.status, parts["spool"], parts["database"], parts["objects"]) == (503, False, True, True)
    assert hub.call("GET", "/readyz").status == 200


@pytest.mark.servers
def test_an_object_store_that_is_away_delays_commits_and_refuses_large_pushes(tmp_path: Path, s3: Any) -> None:
    """Small pushes are kept and committed later; a large one is refused whole; readiness names the store."""
    bucket = s3.make_bucket(f"away{uuid4().hex[:10]}")
    with proxied(bucket) as (url, proxy):
        for hub in running(tmp_path, objects_url=url, data_hub_small_push_bytes=20_000):
            hub.put_contract(THING, THING_CONTRACT)
            assert hub.push(THING, [{"id": "before", "n": 1}]).json()["state"] == "committed"
            proxy.cut()
            pending = hub.push(THING, [{"id": "during", "n": 2}], wait=1)
            large = hub.push(THING, large_body(), key="away", wait=1)
            ready = hub.call("GET", "/readyz")
            proxy.resume()

            assert (pending.status, pending.json()["state"]) == (202, "validated")
            assert (large.status, large.json()["code"]) == (503, "store_unavailable")
            assert [part["name"] for part in ready.json()["parts"] if not part["ok"]] == ["objects"]
            final = hub.call("GET", f"/v1/pushes/{pending.json()['id']}?wait=60").json()
            assert final["state"] == "committed"
            assert hub.push(THING, large_body(), key="away", wait=60).json()["accepted"] == 6000
            assert len(hub.rows(THING)) == 6002


@pytest.mark.servers
def test_a_database_that_is_away_refuses_pushes_and_comes_back(tmp_path: Path, postgres: Any) -> None:
    """503 without a half-kept push; afterwards the same Idempotency-Key counts once."""
    with proxied(postgres.database_url(f"away{uuid4().hex[:10]}_{{service}}")) as (url, proxy):
        for hub in running(tmp_path, database_url=url):
            hub.put_contract(THING, THING_CONTRACT)
            body = json.dumps({"id": "a", "n": 1}).encode()
            proxy.cut()
            away = hub.push(THING, body, key="k", wait=1)
            ready = hub.call("GET", "/readyz")
            proxy.resume()

            assert (away.status, away.json()["code"]) == (503, "database_unavailable")
            assert "database" in [part["name"] for part in ready.json()["parts"] if not part["ok"]]
            deadline = time.monotonic() + 30
            while (again := hub.push(THING, body, key="k", wait=20)).status == 503:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert again.json()["state"] == "committed"
            assert len(hub.rows(THING)) == 1


class proxied:  # noqa: N801 - reads as a function
    """The same URL through a proxy that can be cut."""

    def __init__(self, url: str) -> None:
        before, _, rest = url.partition("@")
        address, slash, tail = rest.partition("/")
        host, _, port = address.partition(":")
        self._proxy = FaultyProxy(host, int(port))
        self._url = f"{before}@{self._proxy.address}{slash}{tail}"

    def __enter__(self) -> tuple[str, FaultyProxy]:
        return self._url, self._proxy

    def __exit__(self, *_: object) -> None:
        self._proxy.close()
