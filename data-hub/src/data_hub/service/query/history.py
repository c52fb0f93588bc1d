"""What each credential asked. Written in batches, a moment after the answer, so that a query does not wait for it."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from datetime import datetime, timedelta
from typing import Any

from brain_kit.clock import parse_rfc3339, rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.problems import InvalidInput

from data_hub.store import queries as store

MOST_WAITING = 10_000


class CursorInvalid(InvalidInput):
    """`after` is not a value that an earlier page gave as `next`."""

    code, title = "cursor_invalid", "Invalid page cursor"


class QueryHistory:
    """Finished queries. What was not yet written when the process is killed (under a second) is lost, nothing else."""

    def __init__(self, database: Database, *, days: int) -> None:
        self._database = database
        self._days = days
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, row: dict[str, Any]) -> None:
        """Remember a finished query: the columns of `query_history`."""
        with self._lock:
            self._waiting.append(row)

    def flush(self) -> None:
        """Write what waits."""
        with self._writing:
            with self._lock:
                rows, self._waiting = self._waiting, []
            if not rows:
                return
            try:
                with self._database.transaction() as session:
                    store.add_queries(session, rows)
            except BaseException:
                # While the database is away the newest are kept, as many as do no harm.
                with self._lock:
                    self._waiting = (rows + self._waiting)[-MOST_WAITING:]
                raise

    def knows(self, subject: str, query_id: str) -> bool:
        """Whether the credential has used this id for a query that ended."""
        with self._lock:
            if any(row["subject"] == subject and row["id"] == query_id for row in self._waiting):
                return True
        with self._database.reading() as session:
            return store.is_known(session, subject, query_id)

    def page(self, subject: str, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """The credential's queries, newest first, and the cursor of the next page. Raises CursorInvalid."""
        self.flush()
        with self._database.reading() as session:
            rows = store.recent_queries(session, subject, limit + 1, _read_cursor(after) if after else None)
        more = rows[limit:]
        rows = rows[:limit]
        cursor = _cursor(rows[-1]) if more and rows else None
        return [_shown(row) for row in rows], cursor

    def forget(self) -> None:
        """Forget what is older than the days that the setting says."""
        with self._database.transaction() as session:
            store.forget_queries(session, utc_now() - timedelta(days=self._days))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "sql", "datasets", "format", "state", "problem", "rows")
    shown = {name: row[name] for name in names}
    return shown | {"elapsed_ms": round(row["elapsed_ms"], 1), "started_at": rfc3339(row["started_at"])}


def _cursor(row: dict[str, Any]) -> str:
    text = json.dumps([row["started_at"].isoformat(), row["id"]])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(after: str) -> tuple[datetime, str]:
    try:
        at, query_id = json.loads(base64.urlsafe_b64decode(after.encode()))
        return parse_rfc3339(at), str(query_id)
    except (ValueError, binascii.Error, TypeError) as error:
        raise CursorInvalid("after 不是上一页 next 给出的值，请从第一页重新读取", field="after") from error
