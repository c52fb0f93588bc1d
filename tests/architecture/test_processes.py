"""Every service runs somewhere in a cluster, and the files made from the code are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from brain_kit.settings import PlatformSettings
from industry_brain import embedded
from industry_brain.deployment import files
from industry_brain.processes import PROCESSES
from industry_brain.wiring import SERVICES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [path for path, _ in files()])
def test_written_files_are_what_the_code_would_write(path: str) -> None:
    """`make docs` writes them anew."""
    assert (ROOT / path).read_text(encoding="utf-8") == dict(files())[path]


def test_every_service_is_called_somewhere_and_every_worker_role_has_a_process(tmp_path: Path) -> None:
    """What the list `industry_brain.processes` forgets would never run in a cluster; add it there, then `make docs`."""
    built = embedded.build(PlatformSettings(home=tmp_path / "home"))
    built.platform.close()
    homes = {(process.service, role) for process in PROCESSES for role in process.roles}
    needed = {(name, worker.role) for name, runtime in built.runtimes.items() for worker in runtime.workers}

    assert sorted(process.service for process in PROCESSES if process.is_called) == sorted(SERVICES)
    assert needed <= homes
