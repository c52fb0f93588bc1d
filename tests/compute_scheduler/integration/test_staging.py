"""Data on their way to a centre whose agent is a process of its own, from a real data hub, through real breaks."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from compute_scheduler.store import transfers as store

from tests.compute_scheduler.yard import ROLES, Yard
from tests.data_hub.hub import contract

ROOT = Path(__file__).parents[3]
COLUMNS = {"id": "string", "note": "string"}
OPEN, OWN = "industry.open_notes", "industry.own_notes"
LINK = {"capacity_gbit_s": 0.04, "latency_ms": None, "note": "", "as_of": "2026-09-30"}
MANIFEST = "/v1/datasets/{}/versions/{}/files"


class Served:
    """compute-scheduler behind a real server on a socket that stays, so that the service may go and come back."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        """Answers."""
        self._server = uvicorn.Server(uvicorn.Config(self._app, log_config=None, access_log=False, lifespan="off"))
        held = self._socket.dup()
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [held]}, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        """Breaks every connection off and answers nobody."""
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._socket.close()


class Remote:
    """The centre `away` with its agent's process."""

    def __init__(self, yard: Yard, url: str, root: Path) -> None:
        self.yard, self.url, self.root = yard, url, root
        yard.json("POST", "/v1/centres", json={"id": "away", "title": "外地", "kind": "region"})
        yard.json("PUT", "/v1/links/away/local", json=LINK)
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Starts the agent on what its folder holds."""
        token = self.yard.platform.service_token()
        command = [sys.executable, "-m", "tests.compute_scheduler.away", self.url, token, "away", str(self.root)]
        self.process = subprocess.Popen(command, cwd=ROOT)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def fetched(self) -> int:
        """Bytes that lie at the centre."""
        files = [path for path in self.root.glob("data/*/files/*") if path.is_file()]
        return sum(path.stat().st_size for path in files)

    def row(self, transfer: str) -> dict[str, Any]:
        """A transfer as it stands in the tables."""
        with self.yard.database.reading() as session:
            found = store.one(session, transfer)
        assert found is not None
        return found


def until(fulfilled: Callable[[], Any], timeout_s: float = 60) -> Any:
    """What is asked for, once it is so."""
    deadline = time.monotonic() + timeout_s
    while not (found := fulfilled()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def notes(rows: int, start: int = 0) -> bytes:
    """Parquet of rows that cannot be compressed, some 500 bytes each on the disk."""
    ids = [f"{number:08d}" for number in range(start, start + rows)]
    table = pa.table({"id": ids, "note": [secrets.token_urlsafe(500) for _ in ids]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def push(yard: Yard, dataset: str, body: bytes, token: str) -> None:
    """Rows into a data set, committed."""
    path, headers = f"/v1/datasets/{dataset}/pushes", {"content-type": "application/vnd.apache.parquet"}
    hub = yard.platform.client("data-hub")
    hub.request("POST", path, content=body, headers=headers, params={"wait": 60}, token=token, timeout_s=90)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """With a data hub: some 16 MB of one data set, and of another rows of two enterprises."""
    home = tmp_path_factory.mktemp("staging")
    made = Yard(home, beside=("data-hub",), roles=(*ROLES, "committer"), log_level="ERROR")
    hub = made.platform.client("data-hub")
    for name, access in ((OPEN, "open"), (OWN, "owner")):
        document = contract(name, COLUMNS, ["id"], access=access, example={"id": "a", "note": "b"})
        headers = {"content-type": "application/yaml"}
        hub.request("PUT", f"/v1/contracts/{name}", content=document.encode(), headers=headers, token=made.operator)
    push(made, OPEN, notes(30_000), made.operator)
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(yard: Yard) -> Iterator[Served]:
    """The service behind a port."""
    app = next(runtime.app for runtime in yard.runtimes if runtime.name == "compute-scheduler")
    made = Served(app)
    yield made
    made.close()


@pytest.fixture(scope="module")
def remote(yard: Yard, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The centre."""
    made = Remote(yard, served.url, tmp_path_factory.mktemp("away") / "agent")
    until(lambda: yard.json("GET", "/v1/centres/away")["nodes"])
    yield made
    made.process.terminate()
    made.process.wait(30)


SUM = "cat $BRAIN_DATA/{}/* | sha256sum; touch $BRAIN_DATA/{}/x 2>/dev/null && echo WROTE; true"


@pytest.mark.fault
def test_a_killed_agent_and_a_restarted_service_go_on_at_the_byte(yard: Yard, remote: Remote, served: Served) -> None:
    """Killed with SIGKILL at a third, the service away at two thirds: the version arrives, no byte is fetched twice.

    Between a kill and the next request only what was in the connection may be lost: less than 6 MB of 16.
    """
    job = yard.submit("sh", "-c", SUM.format(OPEN, OPEN), centre="away", datasets=[{"dataset": OPEN}])
    waiting = yard.wait(job, lambda found: found["reason_code"] == "staging" and " MB" in found["reason"])
    assert "数据在传输：industry.open_notes" in waiting["reason"]
    assert waiting["predicted_start_at"] is not None
    (shown,) = yard.json("GET", "/v1/transfers?state=alive")["items"]
    size = shown["bytes"]
    until(lambda: remote.fetched() > size // 3)
    remote.kill()
    kept = remote.fetched()
    assert kept < size
    remote.start()
    until(lambda: remote.fetched() > size * 2 // 3)
    served.stop()
    served.start()
    ended = yard.ended(job)
    assert ended["state"] == "succeeded", (ended["reason"], yard.log(job))
    version = ended["data"][0]["version"]
    manifest = (
        yard.platform.client("data-hub").request("GET", MANIFEST.format(OPEN, version), token=yard.operator).json()
    )
    assert remote.row(shown["id"])["state"] == "done"
    assert remote.row(shown["id"])["sent_bytes"] - size < 6_000_000
    folder = remote.root / "data" / f"{OPEN}@{version}" / "files"
    whole = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()
    log = yard.log(job)
    assert whole in log
    assert "WROTE" not in log
    (copy,) = [item for item in yard.json("GET", "/v1/replicas?centre=away")["items"] if item["dataset"] == OPEN]
    assert (copy["sha256"], copy["bytes"], copy["state"]) == (manifest["sha256"], size, "ready")
    again = yard.ended(yard.submit("sh", "-c", SUM.format(OPEN, OPEN), centre="away", datasets=[{"dataset": OPEN}]))
    assert again["attempts"][0]["data"][0]["transfer"] is None
    assert whole in yard.log(again["id"])


def test_each_tenant_gets_its_own_rows_and_learns_of_no_transfer_of_others(yard: Yard, remote: Remote) -> None:
    """Two enterprises in one data set: each job finds its rows alone, and cannot read the other's folder."""
    owners = [yard.token_of("enterprise", ["developer", "manager"]) for _ in range(2)]
    for number, (uscc, token) in enumerate(owners):
        push(yard, OWN, notes(20 + number, 1000 * number), token)
        quota = {"quota": {"cores": 2, "memory_mb": 2000}, "weight": 1}
        yard.json("PUT", f"/v1/tenants/{uscc}/quota", json=quota)
    count = "import glob,os,pyarrow.parquet as q;print('rows',q.read_table(os.environ['BRAIN_DATA']+'/{}').num_rows)"
    spy = "for f in $(dirname $(readlink -f $BRAIN_DATA/{}))/../*/files/*; do cat $f >/dev/null && echo read $f; done"
    jobs = []
    for _, token in owners:
        script = f'{sys.executable} -c "{count.format(OWN)}"; {spy.format(OWN)} 2>/dev/null; true'
        spec = {"centre": "away", "datasets": [{"dataset": OWN}], "resources": {"cores": 1, "memory_mb": 900}}
        jobs.append(yard.submit("sh", "-c", script, token=token, **spec))
    for number, (job, (uscc, token)) in enumerate(zip(jobs, owners, strict=True)):
        assert yard.ended(job)["state"] == "succeeded", yard.log(job)
        log = yard.log(job)
        assert f"rows {20 + number}" in log
        if yard.json("GET", "/v1/centres/away")["capabilities"]["landlock_abi"]:
            assert {line.split("@")[-1].split("/")[0] for line in log.splitlines() if line.startswith("read")} <= {uscc}
        theirs = yard.json("GET", "/v1/transfers", token)["items"]
        assert [(item["view"], item["org"]) for item in theirs] == [(uscc, uscc)]
    other = yard.json("GET", "/v1/transfers", owners[0][1])["items"][0]["id"]
    assert yard.call("GET", f"/v1/transfers/{other}", owners[1][1]).status == 404


def test_the_byte_route_refuses_what_may_not_leave_and_what_is_gone(yard: Yard, remote: Remote) -> None:
    """A rule that came after the booking; a version that has expired; a transfer that has ended; another's centre."""
    token = yard.platform.service_token()
    with yard.database.transaction() as session:
        row = dict(store.page(session, org=None, state="done", centre="away", before="", limit=1)[0])
        made = row | {"id": row["id"][:-4] + "ZZZZ", "state": "moving", "ended_at": None, "version": "12345"}
        store.insert(session, made)
    base = f"/v1/agents/away/transfers/{made['id']}"
    gone = yard.problem("GET", f"{base}/manifest", token)
    assert gone["code"] == "version_gone"
    assert "12345" in gone["detail"]
    assert yard.problem("GET", f"{base}/files/a.parquet?length=9", token)["code"] == "version_gone"
    assert yard.problem("GET", f"/v1/agents/local/transfers/{made['id']}/manifest", token)["code"] == "transfer_ended"
    rule = {"stays_in": ["local"], "reason": "协议"}
    yard.json("PUT", f"/v1/data-rules/{made['dataset']}", json=rule)
    assert yard.problem("GET", f"{base}/files/a.parquet?length=9", token)["code"] == "data_stays"
    yard.call("DELETE", f"/v1/data-rules/{made['dataset']}")
    done = f"/v1/agents/away/transfers/{row['id']}/files/a.parquet?length=9"
    assert yard.problem("GET", done, token)["code"] == "transfer_ended"
    assert yard.problem("GET", f"{base}/manifest")["status"] == 403
    with yard.database.transaction() as session:
        store.save(session, made["id"], state="cancelled")
