"""Rows that were checked and wait for the committer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class StagedPart:
    """A Parquet object of a push.

    has_row: it has a column `_row` with the numbers of its rows and must be written anew without; else it lies in the
    table's own folder, ready to become a data file, and its rows are numbered from `first_row` on.
    """

    key: str
    rows: int
    bytes: int
    first_row: int
    has_row: bool
    # Iceberg ids of its columns by name: a data file must carry those that the table has.
    ids: dict[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """The form in which a push keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class StagedPush:
    """A validated push: its rows in memory when it is small, else in parts."""

    push_id: str
    owner: str
    mode: str
    accepted: int
    table: pa.Table | None
    parts: tuple[StagedPart, ...] = ()


def staged_parts(stored: list[dict[str, Any]] | None) -> tuple[StagedPart, ...]:
    """The parts that a push keeps."""
    return tuple(StagedPart(**item) for item in stored or ())
