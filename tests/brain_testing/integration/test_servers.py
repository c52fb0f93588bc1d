"""The starters of real servers: ready when they say so, hurt on purpose, gone afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from brain_testing.databases import create_database
from brain_testing.servers import S3, Kafka, Postgres, Server, ServerFailed
from brain_testing.servers.child import descendants, started_at
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

pytestmark = [pytest.mark.servers, pytest.mark.fault]


class Probe:
    """Leaves a mark in a server and looks whether it is still there, through an ordinary client."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def leave_mark(self) -> None:
        """Write something durable."""
        if isinstance(self.server, Postgres):
            create_database(self.server.database_url("mark"))
        elif isinstance(self.server, S3):
            self.server.make_bucket("mark")
        elif isinstance(self.server, Kafka):
            self._kafka(lambda admin: admin.create_topics([NewTopic("mark", 1, 1)]))

    def finds_mark(self) -> bool:
        """Whether it is there. Raises what the client raises."""
        if isinstance(self.server, Postgres):
            with psycopg.connect(self.server.url, connect_timeout=2, options="-c statement_timeout=2000") as connection:
                return connection.execute("SELECT 1 FROM pg_database WHERE datname = 'mark'").fetchone() == (1,)
        if isinstance(self.server, S3):
            return self.server.client().bucket_exists("mark")
        return "mark" in self._kafka(lambda admin: admin.list_topics())

    def _kafka(self, call: Callable[[KafkaAdminClient], Any]) -> Any:
        assert isinstance(self.server, Kafka)
        options = {"bootstrap_timeout_ms": 2000, "request_timeout_ms": 2000, "reconnect_backoff_max_ms": 100}
        admin = KafkaAdminClient(bootstrap_servers=self.server.bootstrap, **options)
        try:
            return call(admin)
        finally:
            admin.close()


@pytest.fixture(scope="module", params=[Postgres, Kafka, S3], ids=["postgres", "kafka", "s3"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own, since these tests hurt it."""
    with request.param() as started:
        Probe(started).leave_mark()
        yield started


def test_crash_keeps_ports_and_data(server: Server) -> None:
    """After SIGKILL nothing of it runs; a restart serves the same data on the same ports."""
    assert server.child is not None
    family, ports = [server.child.pid, *descendants(server.child.pid)], server.ports

    server.kill()
    assert not server.is_running
    assert [pid for pid in family if started_at(pid) is not None] == []
    with pytest.raises(Exception, match=r".+"):
        Probe(server).finds_mark()
    server.restart()

    assert server.ports == ports
    assert Probe(server).finds_mark()


def test_planned_restart_keeps_data(server: Server) -> None:
    """TERM and start."""
    server.restart()

    assert Probe(server).finds_mark()


def test_frozen_server_answers_nothing_until_thawed(server: Server) -> None:
    """A hang: the process lives, clients time out; then everything is as before."""
    server.freeze()
    try:
        assert server.is_running
        with pytest.raises(Exception, match=r".+"):
            Probe(server).finds_mark()
    finally:
        server.thaw()

    deadline = time.monotonic() + 20
    while True:
        try:
            assert Probe(server).finds_mark()
            return
        except Exception:
            assert time.monotonic() < deadline, "it did not come back"


def test_server_restarted_by_a_passing_thread_lives_on(s3: S3) -> None:
    """The kernel's promise to end children with their parent's thread does not hit a restart from a test thread."""
    thread = threading.Thread(target=s3.restart)
    thread.start()
    thread.join()
    time.sleep(0.3)

    assert s3.is_running
    s3.client().list_buckets()


ORPHAN = """
import sys, time
from brain_testing.servers import S3
server = S3().start()
print(server.child.pid, server.folder, flush=True)
time.sleep(60)
"""


def test_server_dies_with_a_killed_test_process() -> None:
    """SIGKILL of the process that started it leaves no server behind."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        pid, folder = int(words[0]), Path(words[1])
        assert started_at(pid) is not None
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while started_at(pid) is not None:
        assert time.monotonic() < deadline, "the server outlived its starter"
        time.sleep(0.02)
    shutil.rmtree(folder)


def test_failed_start_tells_what_the_server_said(tmp_path: Path) -> None:
    """A dead process is noticed at once and its output is part of the error."""
    (tmp_path / "data").write_text("not a folder")
    server = S3(tmp_path)
    server.prepare = lambda: None  # type: ignore[method-assign]
    began = time.monotonic()

    with pytest.raises(ServerFailed, match=r"s3 ended with \d+ before it was ready:\n.+"):
        server.start()
    assert time.monotonic() - began < 5


def test_stop_removes_the_temporary_folder() -> None:
    """Nothing is left on the disk."""
    with S3() as server:
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()


def test_each_test_has_databases_of_its_own(postgres: Postgres, database_urls: str, database_url: str) -> None:
    """URLs differ from test to test; dropping takes connections and only its own prefix."""
    service = create_database(database_urls.replace("{service}", "identity"))
    create_database(service)
    with psycopg.connect(service) as connection, psycopg.connect(database_url) as other:
        postgres.drop_databases(service.rpartition("/")[2])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        assert other.execute("SELECT 1").fetchone() == (1,)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m brain_testing.servers`."""
    command = [sys.executable, "-m", "brain_testing.servers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that user postgres may or may not reach: the command has to cope."""
    folder = tmp_path_factory.mktemp("servers")
    yield folder
    cli("down", "--dir", str(folder), "--remove")
    assert not folder.exists()


@pytest.mark.slow
def test_servers_command_starts_finds_mends_and_stops(reachable: Path) -> None:
    """up, up again, up after a crash, down: addresses stay, processes are found by id and start time."""
    folder = ["--dir", str(reachable)]
    first = cli("up", *folder, "--detach")
    assert first.returncode == 0, first.stderr
    addresses = (reachable / "env").read_text()
    pids = {name: entry["pid"] for name, entry in json.loads((reachable / "pids.json").read_text()).items()}
    assert [line.partition("=")[0] for line in addresses.splitlines()] == [
        "BRAIN_DATABASE_URL",
        "BRAIN_EVENTS_URL",
        "BRAIN_OBJECTS_URL",
    ]
    assert "/{service}\n" in addresses
    assert (reachable / "env").stat().st_mode & 0o077 == 0

    os.kill(pids["kafka"], signal.SIGKILL)
    while started_at(pids["kafka"]) is not None:
        time.sleep(0.02)
    assert cli("status", *folder).returncode == 1
    again = cli("up", *folder, "--detach")
    assert again.returncode == 0, again.stderr
    mended = {name: entry["pid"] for name, entry in json.loads((reachable / "pids.json").read_text()).items()}

    assert (reachable / "env").read_text() == addresses
    assert {name for name in pids if mended[name] != pids[name]} == {"kafka"}
    assert cli("status", *folder).returncode == 0
    assert set(cli("down", *folder).stdout.split("stopped ")[1].strip().split(", ")) == {"postgres", "kafka", "s3"}
    assert [pid for pid in mended.values() if started_at(pid) is not None] == []
    assert "nothing was running" in cli("down", *folder).stdout
