"""Opening the data sets that a statement reads, at the versions that are asked for."""

from __future__ import annotations

from collections.abc import Mapping

from brain_kit.auth import Principal

from data_hub.domain.query.problems import TableUnknown, VersionUnknown
from data_hub.domain.query.statement import Statement
from data_hub.domain.versions import versions_read
from data_hub.engine.warehouse import SnapshotUnknown
from data_hub.service.readable import DatasetUnknown, ReadableTable, ReadableTables, viewer_of


def open_tables(
    tables: ReadableTables, caller: Principal, statement: Statement, versions: Mapping[str, str] | None
) -> list[ReadableTable]:
    """The data sets of a statement as the caller may read them. Raises TableUnknown, VersionInvalid, VersionUnknown."""
    wanted = versions_read(versions, statement.datasets)
    viewer = viewer_of(caller)
    found = []
    for name in statement.datasets:
        try:
            found.append(tables.open(name, viewer, wanted.get(name)))
        except DatasetUnknown as error:
            raise TableUnknown(f"没有数据集 {name}，目录见 GET /v1/datasets", table=name) from error
        except SnapshotUnknown as error:
            raise VersionUnknown(error.detail, field=f"versions.{name}", **error.members) from error
    return found
