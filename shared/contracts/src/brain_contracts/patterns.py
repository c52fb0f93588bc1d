"""Patterns of contracts: RE2 as DuckDB reads it, so that a rule means the same wherever it is checked.

RE2 runs in time linear in the text, which matters because contracts come from outside.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MAX_LENGTH = 1000


def pattern_error(pattern: str) -> str | None:
    """Why a pattern cannot be used, in the words of the engine; None when it can."""
    import duckdb

    if len(pattern) > MAX_LENGTH:
        return f"不应超过 {MAX_LENGTH} 个字"
    try:
        matches(pattern, "")
    except duckdb.Error as error:
        return str(error).split("\n", 1)[0].removeprefix("Invalid Input Error: ")
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches. Raises duckdb.Error when the pattern is wrong."""
    row = _engine().cursor().execute("SELECT regexp_full_match(?, ?)", [text, pattern]).fetchone()
    return bool(row and row[0])


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(config={"threads": 1, "enable_external_access": False})
