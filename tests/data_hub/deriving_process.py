"""A hub that is killed while it makes a data set: `python -m tests.data_hub.deriving_process HOME NAME STEP`.

STEP: `stored`, the rows are stored and nothing is kept yet; `kept`, the push is kept and the committer has not begun.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from data_hub.service.derived.derive import Deriving
from data_hub.service.push import Pushes

from tests.data_hub.hub import PROVIDER, Hub


def die(*_: Any) -> None:
    """What a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(home: str, name: str, step: str) -> None:
    """Asks for a data set of ten rows and dies in the middle."""
    if step == "stored":
        Deriving._keep = die  # type: ignore[method-assign]
    else:
        Pushes.after = die  # type: ignore[method-assign]
    hub = Hub(Path(home), workers=False)
    body = json.dumps({"name": name, "title": "十行", "sql": "SELECT range AS n FROM range(10)"}).encode()
    hub.call("POST", "/v1/derived", org=PROVIDER, body=body, headers={"Content-Type": "application/json"})


if __name__ == "__main__":
    main(*sys.argv[1:])
