"""Where the real public data lie that tests read; they stay outside the repository."""

import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[4]


class RealDataMissing(RuntimeError):
    """The real data are not on this machine."""


def find_realdata() -> Path | None:
    """$BRAIN_REALDATA, else shared/realdata beside the repository; None when that is no folder."""
    folder = Path(os.environ.get("BRAIN_REALDATA") or _REPOSITORY.parent / "shared" / "realdata")
    return folder if folder.is_dir() else None


def realdata_dir() -> Path:
    """The folder of the real data. Raises RealDataMissing."""
    folder = find_realdata()
    if folder is None:
        raise RealDataMissing("the real data are missing: set BRAIN_REALDATA to their folder")
    return folder
