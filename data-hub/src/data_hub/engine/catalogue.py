"""The Iceberg catalogue: pyiceberg's SQL catalogue in the data hub's own database.

Because table pointer and pushes live in one database, a commit moves the pointer and marks its pushes in one
transaction: `HubCatalogue.committing` names what else belongs to it. Other engines read the same two tables through
their stock JDBC catalogue.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import FileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Properties
from sqlalchemy.orm import Session

from data_hub.engine.fileio import StoreFileIO

NAME = "brain"
CACHED_TABLES = 64

AlsoInCommit = Callable[[Session, TableMetadata], None]


class HubCatalogue(SqlCatalog):
    """A catalogue named `brain` over the service's database and object store."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        # Not SqlCatalog.__init__: it opens an engine of its own, with other durability, and looks for its tables.
        Catalog.__init__(self, NAME, warehouse=objects.location("tables/x").rsplit("/", 1)[0])
        self.engine = database.engine
        self._schema_version = "v1"
        self._database = database
        self._files = StoreFileIO(objects)
        self._also = threading.local()
        self._loaded: OrderedDict[str, Table] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def committing(self, also: AlsoInCommit) -> Iterator[None]:
        """Commits of this thread inside the block run `also` in the transaction that moves the table pointer."""
        self._also.call = also
        try:
            yield
        finally:
            self._also.call = None

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Stores the new metadata, then moves the pointer if nobody else has.

        Raises CommitFailedException when the table has changed since it was loaded.
        """
        staged = self._update_and_stage_table(table, table.name(), requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self._files.flush()
        namespace, name = Catalog.namespace_to_string(table.name()[:-1]), table.name()[-1]
        moved = (
            sa.update(IcebergTables)
            .where(
                IcebergTables.catalog_name == self.name,
                IcebergTables.table_namespace == namespace,
                IcebergTables.table_name == name,
                IcebergTables.metadata_location == table.metadata_location,
            )
            .values(
                metadata_location=staged.metadata_location,
                previous_metadata_location=table.metadata_location,
            )
            .execution_options(synchronize_session=False)
        )
        with self._database.transaction() as session:
            result = session.execute(moved)
            if result.rowcount != 1:  # type: ignore[attr-defined]
                raise CommitFailedException(f"{namespace}.{name} was changed by another commit")
            also: AlsoInCommit | None = getattr(self._also, "call", None)
            if also is not None:
                also(session, staged.metadata)
        return CommitTableResponse.model_construct(metadata=staged.metadata, metadata_location=staged.metadata_location)

    def pointer(self, namespace: str, name: str) -> str | None:
        """Where the table's current metadata lie; None when there is no such table."""
        wanted = sa.select(IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self.name,
            IcebergTables.table_namespace == namespace,
            IcebergTables.table_name == name,
        )
        with self._database.reading() as session:
            return session.execute(wanted).scalar()

    def create(self, namespace: str, name: str, schema: Schema, location: str, properties: Properties) -> None:
        """Makes an empty table; nothing happens when there is one already."""
        metadata = new_table_metadata(
            schema=schema,
            partition_spec=UNPARTITIONED_PARTITION_SPEC,
            sort_order=UNSORTED_SORT_ORDER,
            location=location,
            properties=properties,
        )
        where = f"{location}/metadata/00000-{metadata.table_uuid}.metadata.json"
        self._write_metadata(metadata, self._files, where)
        self._files.flush()
        try:
            with self._database.transaction() as session:
                session.execute(sa.insert(IcebergTables).values(**self._create_table_row(namespace, name, where)))
        except sa.exc.IntegrityError:
            return

    def table_at(self, namespace: str, name: str, metadata_location: str) -> Table:
        """The table as a metadata file describes it, from memory when it was loaded lately."""
        with self._lock:
            known = self._loaded.get(metadata_location)
        if known is None:
            metadata = FromInputFile.table_metadata(self._files.new_input(metadata_location))
            known = Table((namespace, name), metadata, metadata_location, self._files, self)
            self.keep(known)
        # pyiceberg changes the object in a commit, so each caller gets one of its own.
        return Table(known.name(), known.metadata, known.metadata_location, known.io, self)

    def keep(self, table: Table) -> None:
        """Remembers a loaded table; metadata files never change."""
        copy = Table(table.name(), table.metadata, table.metadata_location, table.io, self)
        with self._lock:
            self._loaded[table.metadata_location] = copy
            while len(self._loaded) > CACHED_TABLES:
                self._loaded.popitem(last=False)

    def close(self) -> None:
        """Ends the writing threads."""
        self._files.close()

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        del properties, location
        return self._files
