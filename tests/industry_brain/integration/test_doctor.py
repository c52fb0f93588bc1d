"""`brain doctor` against machines and platforms that lack something."""

from __future__ import annotations

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from brain_testing.ports import free_port
from brain_testing.process import PlatformProcess


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    """A platform with nothing in it."""
    with PlatformProcess(tmp_path_factory.mktemp("doctor") / "home") as process:
        yield process


def examine(home: Path, url: str, **environment: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Exit code and findings by check."""
    command = [sys.executable, "-m", "industry_brain", "doctor", "--home", str(home), "--url", url, "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | environment)
    assert result.stdout, result.stderr
    return result.returncode, {item["check"]: item for item in json.loads(result.stdout)}


def test_a_well_platform_has_no_finding(running: PlatformProcess) -> None:
    """Exit code 0; ports, disk, clock, versions, migrations, events and object store were looked at."""
    code, found = examine(running.home, running.url)

    assert [check for check, item in found.items() if not item["ok"]] == []
    assert code == 0
    assert found.keys() >= {
        "port", "disk", "clock", "platform clock", "version", "database identity", "events identity", "object store",
    }  # fmt: skip


def test_each_fault_is_named_with_its_remedy(running: PlatformProcess, tmp_path: Path) -> None:
    """A secret that others may read, an old schema, objects that cannot be written, an unknown key."""
    home = tmp_path / "home"
    subprocess.run(["cp", "-r", running.home, home], check=True)
    (home / "service-secret").chmod(0o644)
    with closing(sqlite3.connect(home / "data_hub.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")

    code, found = examine(
        home, running.url, BRAIN_OBJECTS_URL="s3://a:wrong-secret@127.0.0.1:1/brain?secure=false", BRAIN_KEY="bk_no"
    )

    assert code == 7
    assert found["service-secret"]["advice"] == f"chmod 600 {home}/service-secret"
    assert "brain migrate" in str(found["database data-hub"]["advice"])
    assert not found["object store"]["ok"]
    assert "wrong-secret" not in json.dumps(found)
    assert "operator's key" in str(found["events"]["advice"])


def test_a_port_of_another_program_is_told_from_a_free_one(tmp_path: Path) -> None:
    """Something answers there, but it is not the platform."""
    free = free_port()
    assert examine(tmp_path / "none", f"http://127.0.0.1:{free}")[1]["port"]["ok"]
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        code, found = examine(tmp_path / "none", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()

    assert code == 7
    assert "another program" in str(found["port"]["seen"])
    assert not found["platform"]["ok"]
