"""What a home folder holds: the list by which a backup is checked and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
HEADER_NAME = "brain-backup.json"
MANIFEST_NAME = "manifest.json"
CONTENT_PREFIX = "home/"


@dataclass(frozen=True)
class FileEntry:
    """A file of the home folder: path below it, size in bytes, permissions, SHA-256 (hex)."""

    path: str
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True)
class DatabaseTable:
    """A table of a service's database: number of rows and a digest over all of them."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class WarehouseTable:
    """A data set: its current snapshot, rows and bytes, and a digest over the names and counts of its data files."""

    snapshot: str
    rows: int
    bytes: int
    files: int
    sha256: str


@dataclass
class Manifest:
    """Everything in a home folder at one moment.

    skipped: paths that are no plain files, such as sockets. missing: files that tables of the warehouse name and that
    are not there or have another size.
    """

    version: str
    made_at: str
    source_home: str
    migrations: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    databases: dict[str, dict[str, DatabaseTable]] = field(default_factory=dict)
    warehouse: dict[str, WarehouseTable] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def content_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def as_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "format": FORMAT,
            "version": self.version,
            "made_at": self.made_at,
            "source_home": self.source_home,
            "migrations": self.migrations,
            "files": [asdict(entry) for entry in self.files.values()],
            "databases": {
                name: {table: asdict(found) for table, found in tables.items()}
                for name, tables in self.databases.items()
            },
            "warehouse": {name: asdict(table) for name, table in self.warehouse.items()},
            "skipped": self.skipped,
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Manifest:
        """The manifest that JSON holds. Raises KeyError or TypeError when it is none."""
        return cls(
            version=str(body["version"]),
            made_at=str(body["made_at"]),
            source_home=str(body["source_home"]),
            migrations=dict(body["migrations"]),
            files={item["path"]: FileEntry(**item) for item in body["files"]},
            databases={
                name: {table: DatabaseTable(**found) for table, found in tables.items()}
                for name, tables in body["databases"].items()
            },
            warehouse={name: WarehouseTable(**table) for name, table in body["warehouse"].items()},
            skipped=list(body["skipped"]),
            missing=list(body["missing"]),
        )
