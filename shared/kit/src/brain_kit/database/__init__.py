"""The database of a service: transactions, migrations, locks, event tables."""

from brain_kit.database.database import Database
from brain_kit.database.engine import DatabaseUnavailable
from brain_kit.database.tables import create_event_tables, drop_event_tables, event_tables
from brain_kit.database.types import BigId, UtcDateTime

__all__ = [
    "BigId",
    "Database",
    "DatabaseUnavailable",
    "UtcDateTime",
    "create_event_tables",
    "drop_event_tables",
    "event_tables",
]
