"""Are all keys of a large push different? Told from hashes that are taken while its stretches are typed.

A hash that comes twice proves nothing, so the answer is only ever a sure yes or a doubt; `duplicates.py` then looks at
the keys themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_hub.engine.duck import quoted

COLUMN = "_key_hash"
# Eight bytes each, twice while they are compared; a push with more rows is looked through share by share.
MOST = 4_000_000


class KeyHashes:
    """The 64-bit hashes of the keys that came so far. key: the columns of the key, none when rows have no key."""

    def __init__(self, key: Sequence[str]) -> None:
        self._expression = f"hash({', '.join(map(quoted, key))}) AS {COLUMN}" if key else ""
        self._parts: list[npt.NDArray[np.uint64]] = []
        self._count = 0
        self._complete = bool(key)

    def with_hash(self, query: str) -> str:
        """A query over typed rows with the column of hashes; text that means one time twice must not look different."""
        return f"SELECT *, {self._expression} FROM ({query})" if self._complete else query

    def take(self, rows: int, hashes: npt.NDArray[np.uint64] | None) -> None:
        """Notes the keys of rows by their sorted hashes."""
        self._count += rows
        if self._count > MOST or hashes is None:
            self.miss()
        if self._complete and hashes is not None:
            self._parts.append(hashes)

    def miss(self) -> None:
        """Says that rows came whose keys are not noted: from now on there is doubt."""
        self._complete, self._parts = False, []

    def are_distinct(self) -> bool:
        """Whether no key surely came twice; False is a doubt."""
        if not self._complete or not self._parts:
            return False
        hashes = np.concatenate(self._parts)
        self._parts = []
        hashes.sort(kind="stable")  # merges the sorted parts
        return not bool((hashes[1:] == hashes[:-1]).any())


def key_hashes(table: pa.Table) -> npt.NDArray[np.uint64] | None:
    """The column of hashes of a typed table, sorted; None when it has none."""
    return np.sort(table.column(COLUMN).to_numpy()) if COLUMN in table.column_names else None
