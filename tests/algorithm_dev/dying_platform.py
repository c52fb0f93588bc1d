"""`brain up` whose process kills itself before the point of a run that the file `die-at` in its home names.

Started by the fault tests as `python dying_platform.py HOME PORT`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from brain_kit.settings import PlatformSettings
from industry_brain import embedded


def main(home: Path, port: int) -> None:
    """Serves until killed."""
    built = embedded.build(PlatformSettings(home=home, log_level="ERROR"))
    note = home / "die-at"

    def die(point: str) -> None:
        if note.exists() and note.read_text(encoding="utf-8") == point:
            note.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    built.runtimes["algorithm-dev"].extras["steps"].before = die
    embedded.serve(built, "127.0.0.1", port, lambda: print(f"ready http://127.0.0.1:{port}", flush=True))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
