"""Processes that are killed while they make a data set."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from data_hub.service.sweep import Sweeper
from data_hub.settings import Settings

from tests.data_hub.hub import PROVIDER, Hub, running

NAME = "enterprise.ten"
ROOT = Path(__file__).parents[3]


def killed(home: Path, step: str) -> None:
    """Runs the process until it has died."""
    line = [sys.executable, "-m", "tests.data_hub.deriving_process", str(home), NAME, step]
    done = subprocess.run(line, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL


def sweep(hub: Hub, later: timedelta) -> None:
    """One round of the sweep at a later time."""
    sweeper = Sweeper(hub.database, hub.platform.objects, Settings(home=hub.platform.settings.home))
    with mock.patch("data_hub.service.sweep.utc_now", return_value=datetime.now(UTC) + later):
        sweeper.sweep()


def objects(hub: Hub) -> int:
    """Objects of the data set's rows."""
    return len(list(hub.platform.objects.list("tables/enterprise/ten/data/")))


@pytest.mark.fault
def test_a_process_killed_before_the_push_is_kept_leaves_nothing(tmp_path: Path) -> None:
    """No data set; the stored rows go once the lease is over, and the name can be used."""
    killed(tmp_path, "stored")
    for hub in running(tmp_path):
        found = hub.call("GET", f"/v1/datasets/{NAME}", org=PROVIDER)
        assert (found.status, objects(hub)) == (404, 1)
        sweep(hub, timedelta(minutes=5))
        assert objects(hub) == 1
        sweep(hub, timedelta(hours=1))
        assert objects(hub) == 0


@pytest.mark.fault
def test_a_process_killed_after_the_push_is_kept_loses_nothing(tmp_path: Path) -> None:
    """The next committer makes the version, once, with its lineage; the sweep takes nothing away."""
    killed(tmp_path, "kept")
    for hub in running(tmp_path, workers=False):
        sweep(hub, timedelta(hours=1))
        committer = hub.runtime.extras["committer"]
        assert committer.commit_once(NAME)
        assert not committer.commit_once(NAME)
        assert sorted(row["n"] for row in hub.rows(NAME)) == list(range(10))
        seen = hub.call("GET", f"/v1/lineage?dataset={NAME}&direction=up", org=PROVIDER).json()
        assert sorted(node["kind"] for node in seen["nodes"]) == ["dataset", "org", "push", "run"]
