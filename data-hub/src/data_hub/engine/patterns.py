"""Regular expressions of contracts: they must mean the same in Python and in DuckDB."""

from __future__ import annotations

import re

import duckdb


def pattern_error(pattern: str) -> str | None:
    """Why a pattern cannot be used, None when it can. DuckDB's expressions (RE2) know no look-ahead, for instance."""
    try:
        re.compile(pattern)
        with duckdb.connect() as connection:
            connection.execute("SELECT regexp_full_match('', $1)", [pattern]).fetchone()
    except (re.error, duckdb.Error) as error:
        return str(error).splitlines()[0][:200]
    return None
