"""One Iceberg commit: new files in, replaced files out, old snapshots forgotten, the pushes named in its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from brain_kit.objects import ObjectStore
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import ExpireSnapshots

from data_hub.engine.catalogue import AlsoInCommit, HubCatalogue

PUSHES = "brain.pushes"


@dataclass(frozen=True)
class NewFile:
    """A Parquet object that becomes a data file; local is a copy of it, of which only the footer is read."""

    key: str
    local: Path


def data_file(metadata: TableMetadata, objects: ObjectStore, new: NewFile) -> DataFile:
    """The manifest entry of a Parquet object, with counts and bounds from its footer."""
    footer = pq.read_metadata(new.local)
    schema = metadata.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=objects.location(new.key),
        file_format=FileFormat.PARQUET,
        partition=statistics.partition(metadata.spec(), schema),
        file_size_in_bytes=new.local.stat().st_size,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


class SteadyTransaction(Transaction):
    """A transaction that works its metadata out once for each update.

    pyiceberg does so at every look, some sixteen times a commit, each time copying every snapshot of the table.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._steady: tuple[int, TableMetadata] = (0, table.metadata)

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with the updates so far."""
        if self._steady[0] != len(self._updates):
            self._steady = (len(self._updates), super().table_metadata)
        return self._steady[1]


def commit_files(
    catalogue: HubCatalogue,
    table: Table,
    added: Sequence[DataFile],
    removed: Sequence[DataFile],
    also: AlsoInCommit,
    *,
    summary: Mapping[str, str],
    expire: Sequence[int],
) -> None:
    """Commits against the table as it was loaded; `also` runs in the transaction that makes it count.

    Raises CommitFailedException when the table has changed since; nothing is retried here.
    """
    properties: dict[str, Any] = dict(summary)
    with catalogue.committing(also), SteadyTransaction(table) as transaction:
        update = transaction.update_snapshot(snapshot_properties=properties)
        with update.overwrite() if removed else update.merge_append() as producer:
            for old in removed:
                producer.delete_data_file(old)
            for new in added:
                producer.append_data_file(new)
        if expire:
            with ExpireSnapshots(transaction) as expiry:
                expiry.by_ids(list(expire))


def total_of(metadata: TableMetadata, name: str) -> int:
    """A running total in the summary of the newest snapshot, such as `total-records`."""
    snapshot = metadata.current_snapshot()
    summary = snapshot.summary if snapshot is not None else None
    return int(summary.additional_properties.get(name, "0")) if summary is not None else 0
