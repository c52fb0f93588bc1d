"""How many rows of a data file belong to whom. Files never change, so each is read once, and only its owner column."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_hub.domain.policy import OWNER_COLUMN
from data_hub.domain.tables import DataFileRef

KEPT_FILES = 20_000
# What one call may read of files it has not seen; a larger table is counted over several calls.
BYTES_A_CALL = 256 << 20


class OwnerCounts:
    """Rows by owner of tables, from their files."""

    def __init__(self, local_path: Callable[[str], Path]) -> None:
        self._local_path = local_path
        self._known: OrderedDict[str, Mapping[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, files: Sequence[DataFileRef]) -> Counter[str] | None:
        """Rows by owner over the files; None while too many of them have not been read yet."""
        total: Counter[str] = Counter()
        read = 0
        for file in files:
            with self._lock:
                counts = self._known.get(file.key)
            if counts is None:
                if read > BYTES_A_CALL:
                    return None
                read += file.bytes
                counts = self._count(file.key)
            total.update(counts)
        return total

    def _count(self, key: str) -> Mapping[str, int]:
        column = pq.read_table(
            self._local_path(key), columns=[OWNER_COLUMN], read_dictionary=[OWNER_COLUMN], partitioning=None
        ).column(OWNER_COLUMN)
        counted = pc.value_counts(column.cast("string") if column.num_chunks == 0 else column.combine_chunks())
        counts = {str(item["values"]): int(item["counts"]) for item in counted.to_pylist()}
        with self._lock:
            self._known[key] = counts
            while len(self._known) > KEPT_FILES:
                self._known.popitem(last=False)
        return counts
