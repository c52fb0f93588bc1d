"""A committer in a process of its own, to be killed: `python -m tests.data_hub.committer_process HOME`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from data_hub.main import build


def main() -> None:
    """Commits until it is killed; prints `committing` first."""
    platform = Platform(PlatformSettings(home=Path(sys.argv[1]), log_level="ERROR"), name="committer")
    runtime = build(platform)
    sys.stdout.write("committing\n")
    sys.stdout.flush()
    runtime.extras["committer"].run(threading.Event())


if __name__ == "__main__":
    main()
