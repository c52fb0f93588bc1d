"""Pages and files of rejected rows."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from brain_kit.problems import InvalidInput

from data_hub.store import PushRecord, get_contract


class CursorInvalid(InvalidInput):
    """`after` is not the `next` of a page."""

    code = "cursor_invalid"


def reject_page(objects: ObjectStore, record: PushRecord, *, after: str | None, limit: int) -> dict[str, Any]:
    """A page of rejects; `next` is given as `after` for the following one. Raises CursorInvalid."""
    from data_hub.engine.rejects import read_rejects

    if after and not after.isdigit():
        raise CursorInvalid("after 应为上一页的 next")
    start = int(after or 0)
    if record.rejects_key is None:
        return {"items": [], "next": None}
    found = list(read_rejects(objects.local_path(record.rejects_key), start, limit + 1))
    following = str(start + limit) if len(found) > limit else None
    return {"items": [reject.shown() for reject in found[:limit]], "next": following}


def reject_csv(database: Database, objects: ObjectStore, record: PushRecord) -> Generator[bytes, None, None]:
    """All rejects as CSV in pieces: the contract's columns as they came, then what is wrong."""
    from data_hub.engine.rejects import csv_lines, read_rejects

    with database.reading() as session:
        contract = get_contract(session, record.dataset, record.contract_version)
    columns = () if contract is None else contract.column_names
    rejects = iter(()) if record.rejects_key is None else read_rejects(objects.local_path(record.rejects_key))
    return csv_lines(rejects, columns)
