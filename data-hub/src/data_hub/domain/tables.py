"""Values that describe a table of the warehouse at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SYSTEM_COLUMNS = (("_owner", "VARCHAR"), ("_push", "VARCHAR"), ("_pushed_at", "TIMESTAMP WITH TIME ZONE"))
SYSTEM_NAMES = tuple(name for name, _ in SYSTEM_COLUMNS)


@dataclass(frozen=True)
class ColumnField:
    """A column of a table: its name now, its Iceberg field id for ever, its DuckDB type."""

    name: str
    field_id: int
    duckdb_type: str


@dataclass(frozen=True)
class DataFileRef:
    """An immutable Parquet file of a table. Bounds are by column name and may be cut off for long text."""

    key: str
    rows: int
    bytes: int
    lower: dict[str, Any] = field(default_factory=dict)
    upper: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableState:
    """A table at one snapshot. Without any commit there are no files, no snapshot and no time."""

    dataset: str
    schema: tuple[ColumnField, ...]
    files: tuple[DataFileRef, ...] = ()
    snapshot_id: int | None = None
    total_rows: int = 0
    total_bytes: int = 0
    committed_at: datetime | None = None
    metadata_location: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, system columns first."""
        return tuple(column.name for column in self.schema)
