"""Where a folder of objects has lain.

The files of a table name each other by full address, and those files never change. So a folder that was moved, or
restored from a backup on another machine, has to know the addresses it had before.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from brain_kit.objects.ledger import fsync_folder

ROOTS_FILE = ".roots"


def read_roots(folder: Path) -> tuple[str, ...]:
    """The paths that the folder was used at, oldest first; empty for a new one."""
    try:
        return tuple((folder / ROOTS_FILE).read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return ()


def remember_root(folder: Path, temporary: Path) -> tuple[str, ...]:
    """Adds the folder's present path to those it had, durably, and returns them all; the present one comes last."""
    present = str(folder)
    former = tuple(root for root in read_roots(folder) if root != present)
    if read_roots(folder)[-1:] == (present,):
        return (*former, present)
    draft = temporary / uuid4().hex
    with draft.open("w", encoding="utf-8") as out:
        out.write(roots_text((*former, present)))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(folder / ROOTS_FILE)
    fsync_folder(folder)
    return (*former, present)


def roots_text(roots: Iterable[str]) -> str:
    """The content of the file: one path a line."""
    return "".join(f"{root}\n" for root in dict.fromkeys(roots))


def key_under(location: str, roots: Iterable[str]) -> str | None:
    """The key behind a `file://` address below one of the roots; None for any other address."""
    for root in roots:
        start = f"file://{root}/"
        if location.startswith(start):
            return location[len(start) :]
    return None
