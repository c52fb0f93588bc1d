"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""64-bit integer primary key; SQLite only counts up by itself when the type is spelled INTEGER."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, microseconds kept. SQLite has no zones: there the UTC clock time is stored.

    Raises ValueError when a naive datetime is written.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware datetime into what the driver stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not stored: use brain_kit.clock.utc_now()")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Turn what the driver read into an aware UTC datetime."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
