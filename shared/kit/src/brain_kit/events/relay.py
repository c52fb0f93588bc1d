"""The relay: from the outbox to the bus, in order per key, and the removal of what is old."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import timedelta

import sqlalchemy as sa
import structlog

from brain_kit.clock import utc_now
from brain_kit.database import Database, UtcDateTime
from brain_kit.database.bulk import list_parameter, rows_of_list
from brain_kit.database.tables import INBOX, OUTBOX
from brain_kit.events import wakeup
from brain_kit.events.bus import EventBus, Publisher
from brain_kit.events.dead_letters import describe_error
from brain_kit.events.outbox import event_of

POLL_S = 0.5
RESTART_S = 0.5
LOCK_RETRY_S = 1.0
RETENTION_EVERY_S = 600.0
RETENTION_ROWS = 5000

_log = structlog.get_logger("brain_kit.events")
_oldest_unpublished = (
    sa.select(OUTBOX).where(OUTBOX.c.published_at.is_(None)).order_by(OUTBOX.c.id).limit(sa.bindparam("n"))
)
_MARK = "UPDATE outbox SET published_at = :at WHERE id IN (SELECT value FROM {ids})"


class Relay:
    """The one relay at work for a database; further ones wait for its lock.

    A row is marked as published after the broker stored it. A crash in between publishes it again: the consumers'
    inbox takes it once. retention_days: how long rows stay that nobody needs any more; inbox_days: how long the
    inbox remembers, which must be longer than the broker keeps events.
    """

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        *,
        batch_size: int = 1000,
        retention_days: float = 7.0,
        inbox_days: float = 30.0,
    ) -> None:
        self._database = database
        self._bus = bus
        self._batch_size = batch_size
        self._retention = timedelta(days=retention_days)
        self._inbox = timedelta(days=inbox_days)
        self._cleaned = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Publish and clean until `stop` is set; survives outages of bus and database."""
        while not stop.is_set():
            try:
                with self._database.exclusive("relay", timeout_s=LOCK_RETRY_S) as held:
                    if held:
                        self._serve(stop)
            except Exception as error:  # noqa: BLE001  (whatever happens, a relay must come back)
                _log.warning("relay restarts", database=self._database.name, error=describe_error(error))
                stop.wait(RESTART_S)

    def publish_batch(self, publisher: Publisher) -> int:
        """Publish the oldest unpublished rows and mark them; returns how many. Raises Unavailable."""
        with self._database.reading() as session:
            rows = session.execute(_oldest_unpublished, {"n": self._batch_size}).all()
        if not rows:
            return 0
        publisher.publish([event_of(row) for row in rows])
        # The rows in between belong to transactions that were open when we read: a range would mark them unsent.
        ids = [row.id for row in rows]
        with self._database.transaction() as session:
            query = sa.text(_MARK.format(ids=rows_of_list(session, "ids", "bigint")))
            query = query.bindparams(sa.bindparam("at", type_=UtcDateTime))
            session.execute(query, {"ids": list_parameter(session, ids), "at": utc_now()})
        return len(rows)

    def clean(self) -> int:
        """Remove old rows of outbox and inbox that nobody needs any more; returns how many."""
        now = utc_now()
        old = sa.and_(OUTBOX.c.time < now - self._retention, sa.not_(self._bus.pending(self._database)))
        removed = self._remove(OUTBOX, OUTBOX.c.id, old)
        return removed + self._remove(INBOX, INBOX.c.at, INBOX.c.at < now - self._inbox)

    def _serve(self, stop: threading.Event) -> None:
        publisher = self._bus.publisher()
        if publisher is None:
            while not stop.is_set():
                self._clean_sometimes()
                stop.wait(LOCK_RETRY_S)
            return
        with closing(publisher):
            while not stop.is_set():
                seen = wakeup.count()
                if self.publish_batch(publisher) < self._batch_size:
                    self._clean_sometimes()
                    wakeup.wait(seen, POLL_S)

    def _clean_sometimes(self) -> None:
        if time.monotonic() - self._cleaned > RETENTION_EVERY_S:
            self._cleaned = time.monotonic()
            self.clean()

    def _remove(self, table: sa.Table, order: sa.ColumnElement[object], condition: sa.ColumnElement[bool]) -> int:
        removed = 0
        keys = list(table.primary_key)
        while True:
            # Small transactions: the writers of the service wait for none of them long.
            some = sa.select(*keys).where(condition).order_by(order).limit(RETENTION_ROWS)
            with self._database.transaction() as session:
                gone = session.execute(sa.delete(table).where(sa.tuple_(*keys).in_(some)))
            count = int(getattr(gone, "rowcount", 0))
            removed += count
            if count < RETENTION_ROWS:
                return removed
