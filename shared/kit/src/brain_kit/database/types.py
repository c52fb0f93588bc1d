"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""64-bit integer primary key; SQLite only counts up by itself when the type is spelled INTEGER."""
_STORED = len("2026-11-30 08:00:00.000000")


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, microseconds kept. SQLite has no zones: there the UTC clock time is stored.

    Raises ValueError when a naive datetime is written.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], Any] | None:
        """On SQLite at once into the stored text: columns of times are in every row, and steps between cost most."""
        return _to_sqlite if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """On SQLite at once from the stored text."""
        return _from_sqlite if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware datetime into what the driver stores."""
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Turn what the driver read into an aware UTC datetime."""
        if value is None:
            return None
        moment: datetime = value
        return moment.astimezone(UTC)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a naive datetime is not stored: use brain_kit.clock.utc_now()")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


# Rows that are written together have most of their times in common.
@lru_cache(maxsize=1024)
def _to_sqlite(value: datetime | None) -> str | None:
    """The UTC clock time without its zone, always with microseconds, so that text sorts as time does."""
    return None if value is None else _in_utc(value).isoformat(" ", "microseconds")[:26]


def _from_sqlite(value: str | None) -> datetime | None:
    if value is None:
        return None
    if len(value) == _STORED:  # to read a zone costs a seventh of putting one in its place
        return datetime.fromisoformat(f"{value}+00:00")
    return datetime.fromisoformat(value).replace(tzinfo=UTC)
