"""Many values in one statement, and many rows out of one, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session


def rows_of_list(session: Session, parameter: str, kind: str) -> str:
    """SQL for a table with one column `value`, holding the elements of the list parameter, in order.

    kind: their SQL type, `text` or `bigint`. Pass the list through `list_parameter`.
    """
    if _is_sqlite(session):
        return f"json_each(:{parameter})"
    return f"unnest(CAST(:{parameter} AS {kind}[])) AS listed(value)"


def list_parameter(session: Session, values: Sequence[Any]) -> Any:
    """The list as the driver of the session takes it for `rows_of_list`."""
    return orjson.dumps(values).decode() if _is_sqlite(session) else list(values)


def rows_of(result: sa.Result[Any]) -> list[dict[str, Any]]:
    """Each row as a dictionary by column; costs a quarter of `dict(row)` of each mapping."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
