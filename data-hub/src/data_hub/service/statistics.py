"""What the warehouses hold: tables, rows, bytes and data carriers (数据资源载体), from table metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brain_contracts.contract import LIBRARIES, WAREHOUSES
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database

from data_hub.domain.policy import Viewer, knows, knows_totals
from data_hub.engine.query_owners import OwnerCounts
from data_hub.service.readable import WarehouseReading, viewer_of
from data_hub.service.synthetic import SyntheticOwners
from data_hub.store.datasets import DatasetRecord, list_datasets

SOURCE = {"zh": "数据中枢：Iceberg 表元数据", "en": "data hub: Iceberg table metadata"}
TERABYTE = 10**12


@dataclass(frozen=True)
class _Figures:
    """One data set as the caller may know it; None: not to be told, or not known yet."""

    record: DatasetRecord
    rows: int | None
    bytes: int | None
    files: int | None
    owners: int | None
    own_rows: int | None
    is_synthetic: bool
    last_commit: datetime | None


class Statistics:
    """Figures of the warehouses. Operators, departments and services see everything; others see totals of open data
    sets, and of the rest only how many rows are their own.
    """

    def __init__(
        self, database: Database, source: WarehouseReading, owners: OwnerCounts, synthetic: SyntheticOwners
    ) -> None:
        self._database = database
        self._source = source
        self._owners = owners
        self._synthetic = synthetic

    def read(self, caller: Principal) -> dict[str, Any]:
        """Per warehouse and per data set: tables, rows, bytes, carriers, owners, last commit, whether synthetic."""
        viewer = viewer_of(caller)
        with self._database.reading() as session:
            records = list_datasets(session)
        records = [record for record in records if knows(viewer, record.contract.access, record.contract.owner_org)]
        figures = [self._figures(record, viewer) for record in records]
        return {
            "as_of": rfc3339(utc_now()),
            "source": SOURCE,
            "warehouses": [
                {"warehouse": name, **_sums([item for item in figures if item.record.contract.warehouse == name])}
                for name in WAREHOUSES
            ],
            "totals": _sums(figures),
            "datasets": [_dataset(item) for item in figures],
        }

    def _figures(self, record: DatasetRecord, viewer: Viewer) -> _Figures:
        shown = knows_totals(viewer, record.contract.access, record.contract.owner_org)
        files = self._source.state(record.name, None).files if record.sequence else ()
        counts = self._owners.of(files)
        own = None if counts is None else counts.get(viewer.org, 0)
        seen = (counts or Counter()) if shown else Counter({viewer.org: own} if own else {})
        is_synthetic = self._synthetic.is_among(seen)
        if not shown:
            return _Figures(record, None, None, None, None, own, is_synthetic, None)
        owners = None if counts is None else len(counts)
        return _Figures(
            record, record.rows, record.bytes, record.files, owners, own, is_synthetic, record.last_commit_at
        )


def _dataset(item: _Figures) -> dict[str, Any]:
    contract = item.record.contract
    return {
        "dataset": contract.name,
        "title": {"zh": contract.title_zh, "en": contract.title_en},
        "warehouse": contract.warehouse,
        "library": contract.library,
        "access": contract.access,
        "rows": item.rows,
        "bytes": item.bytes,
        "files": item.files,
        "owners": item.owners,
        "own_rows": item.own_rows,
        "synthetic": item.is_synthetic,
        "last_commit": None if item.last_commit is None else rfc3339(item.last_commit),
    }


def _sums(figures: Sequence[_Figures]) -> dict[str, Any]:
    commits = [item.last_commit for item in figures if item.last_commit is not None]
    size = _total(item.bytes for item in figures)
    filled = [item for item in figures if item.files]
    files = _total(item.files for item in figures)
    return {
        "tables": len(figures),
        "rows": _total(item.rows for item in figures),
        "own_rows": _total(item.own_rows for item in figures),
        "bytes": size,
        "files": files,
        "stored_tb": round(size / TERABYTE, 9),
        "last_commit": rfc3339(max(commits)) if commits else None,
        "carriers": [
            {"kind": "table", "title": {"zh": "数据表", "en": "tables"}, "count": len(filled), "bytes": size},
            {"kind": "file", "title": {"zh": "数据文件", "en": "data files"}, "count": files, "bytes": size},
        ],
        "libraries": [
            {
                "library": library,
                "tables": len(members := [item for item in figures if item.record.contract.library == library]),
                "rows": _total(item.rows for item in members),
                "bytes": _total(item.bytes for item in members),
            }
            for library in LIBRARIES
        ],
    }


def _total(values: Iterable[int | None]) -> int:
    return sum(value for value in values if value is not None)
